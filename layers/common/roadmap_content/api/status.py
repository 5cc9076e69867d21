"""The status of a task, computed from the content tables."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from sqlalchemy import Connection

from ..content.roadmaps.framework import missing_items
from ..content.roadmaps.metadata import FrameworkCache
from ..content.rows import saved_concepts
from ..contracts.api.tasks import MOST_ITEMS, FailedItem, Progress, TaskStatus
from ..contracts.errors import InvalidFrameworkError, RoadmapNotFoundError
from ..contracts.items import Failure, Item, count_by_type
from ..contracts.times import utc
from ..state.failures.failures import failures_of_attempt
from ..state.queue.capacity import read_capacity
from ..state.queue.places import read_place
from ..state.tasks.attempts import generated_by
from ..state.tasks.task import Task
from .sizes import first_that_fit


def read_status(connection: Connection, task: Task, framework_cache: FrameworkCache) -> TaskStatus:
    """Describe a task. Without a readable framework, all counts are 0."""
    try:
        concept_ids = framework_cache.concept_ids(connection, task.roadmap_id, task.user_id)
    except (RoadmapNotFoundError, InvalidFrameworkError):
        total, missing = 0, []
    else:
        total = len(concept_ids)
        missing = missing_items(concept_ids, saved_concepts(connection, task.roadmap_id or ""))
    counts = count_by_type(missing)
    known = failures_of_attempt(connection, task.task_id, task.attempt)
    generated = generated_by(connection, task.task_id, task.attempt)
    return TaskStatus(
        task_id=task.task_id,
        roadmap_id=task.roadmap_id,
        status=task.status,
        current_step=task.current_step,
        attempt=task.attempt,
        execution_arn=None if task.is_waiting else task.execution_arn,
        queue=read_place(connection, task.task_id, task.attempt) if task.is_waiting else None,
        generation_stopped=read_capacity(connection).stop if task.is_live else None,
        progress={
            content_type: Progress(
                total=total, saved=total - count, missing=count, generated=generated[content_type]
            )
            for content_type, count in counts.items()
        },
        failed_items=list(
            first_that_fit(
                islice(_failed_items(missing, known), MOST_ITEMS), lambda item: item.model_dump(mode="json")
            )
        ),
        error_message=task.error_message,
        updated_at=utc(task.updated_at),
        completed_at=utc(task.completed_at),
    )


def _failed_items(missing: Sequence[Item], known: Mapping[Item, Failure]) -> Iterator[FailedItem]:
    for item in missing:
        failure = known.get(item)
        if failure is not None:
            yield FailedItem(
                concept_id=item.concept_id,
                content_type=item.content_type,
                stage=failure.stage,
                error_code=failure.error_code,
                reason=failure.reason,
            )
