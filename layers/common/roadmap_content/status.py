"""How a task stands, for whoever asks: read from the tables, not from what was last written about them."""

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection

from .attempts import Task
from .contracts import Count, Payload
from .current import saved_concepts
from .errors import InvalidFrameworkError, RoadmapNotFoundError
from .failures import latest_failures
from .items import ContentType, Stage, count_by_type
from .roadmaps import load_framework


class Progress(Payload):
    """Items of one content type: total = saved + missing."""

    total: Count
    saved: Count
    missing: Count


class FailedItem(Payload):
    """An item that the current attempt could not save, and why."""

    concept_id: str
    content_type: ContentType
    stage: Stage
    error_code: str
    reason: str


class TaskStatus(Payload):
    """The answer of `GET /api/v1/tasks/{task_id}` and of `roadmap status --json`."""

    task_id: str
    roadmap_id: str | None
    status: str
    current_step: str | None
    attempt: int
    execution_arn: str | None
    progress: Mapping[ContentType, Progress]
    failed_items: list[FailedItem]
    error_message: str | None
    updated_at: datetime
    completed_at: datetime | None


def read_status(connection: Connection, task: Task) -> TaskStatus:
    """Describe a task. Without a readable framework there is nothing to count, and all counts are 0."""
    try:
        framework = load_framework(connection, task.roadmap_id, task.user_id)
    except (RoadmapNotFoundError, InvalidFrameworkError):
        total, missing = 0, []
    else:
        total = len(framework.nodes)
        missing = framework.missing(saved_concepts(connection, task.roadmap_id or ""))
    counts = count_by_type(missing)
    known = latest_failures(connection, task.task_id, task.attempt)
    return TaskStatus(
        task_id=task.task_id,
        roadmap_id=task.roadmap_id,
        status=task.status,
        current_step=task.current_step,
        attempt=task.attempt,
        execution_arn=task.execution_arn,
        progress={
            content_type: Progress(total=total, saved=total - count, missing=count)
            for content_type, count in counts.items()
        },
        failed_items=[
            FailedItem(
                concept_id=item.concept_id,
                content_type=item.content_type,
                stage=failure.stage,
                error_code=failure.error_code,
                reason=failure.reason,
            )
            for item in missing
            for attempt, failure in [known.get(item, (None, None))]
            if failure is not None and attempt == task.attempt
        ],
        error_message=task.error_message,
        updated_at=task.updated_at.replace(tzinfo=UTC),
        completed_at=task.completed_at and task.completed_at.replace(tzinfo=UTC),
    )
