"""`GET /api/v1/tasks/{task_id}`: a task's status, from the content tables, with the caller's actions."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from sqlalchemy import Connection

from ..content.roadmaps.framework import missing_items
from ..content.roadmaps.metadata import FrameworkCache, KnownConcepts
from ..content.rows import saved_concepts
from ..contracts.api.tasks import (
    MOST_ITEMS,
    Actions,
    FailedItem,
    Progress,
    TaskDetail,
    TaskStatus,
    TaskTokens,
)
from ..contracts.errors import InvalidFrameworkError, RoadmapNotFoundError
from ..contracts.items import Failure, Item, Stage, count_by_type
from ..platform.aws.executions import execution_url
from ..state.failures.failures import failures_of_attempt
from ..state.queue.capacity import read_capacity
from ..state.queue.place import read_place
from ..state.recovering import read_recoveries_of
from ..state.services import Capability, Services
from ..state.tasks.attempts import generated_by
from ..state.tasks.next_actions import advice_for
from ..state.tasks.ownership import reached_content
from ..state.tasks.task import Task, read_extras, read_task
from ..state.tasks.turn import TaskFacts, turn_of, worst
from ..state.tasks.unfinished import last_sign
from .callers import Caller
from .pages import first_that_fit


def read_detail(
    connection: Connection, services: Services, task_id: str, user_id: str | None, caller: Caller
) -> TaskDetail:
    """Read a task; with `user_id`, only a task of that user. Raises TaskNotFoundError: there is none."""
    task = read_task(connection, task_id, user_id)
    status = read_status(connection, task, services.framework_cache, services.capabilities)
    extras = read_extras(connection, task_id)
    budget = services.settings.known_token_budget
    hooks = [capability.describe for capability in services.capabilities if capability.describe is not None]
    described = [describe(connection, task) for describe in hooks]
    return TaskDetail(
        **dict(status),
        title=extras.title,
        created_at=task.created_at,
        user_id=task.user_id,
        live=task.is_live,
        execution_url=execution_url(status.execution_arn),
        actions=actions_for(caller, task, status),
        tokens=TaskTokens(used=extras.tokens, budget=budget),
        **{name: value for fields in described for name, value in fields.items()},
    )


def read_status(
    connection: Connection, task: Task, framework_cache: FrameworkCache, capabilities: Sequence[Capability]
) -> TaskStatus:
    """Describe a task. Without a readable framework, all counts are 0."""
    try:
        concepts = framework_cache.concepts(connection, task.roadmap_id, task.user_id)
    except (RoadmapNotFoundError, InvalidFrameworkError):
        concepts, missing = KnownConcepts(), []
    else:
        missing = missing_items(concepts.ids, saved_concepts(connection, task.roadmap_id or ""))
    total = len(concepts.ids)
    known = failures_of_attempt(connection, task.task_id, task.attempt)
    generated = generated_by(connection, task.task_id, task.attempt)
    failed = list(islice(_failed_items(missing, known), MOST_ITEMS))
    stop = read_capacity(connection).stop if task.is_live else None
    facts = _facts(task, concepts, missing, failed, is_stopped=stop is not None)
    if task.is_live:
        facts = facts._replace(sign_at=last_sign(connection, task.task_id))
    recoveries = read_recoveries_of(connection, capabilities, [task.task_id])
    facts = facts._replace(recovery=recoveries.get(task.task_id))
    return TaskStatus(
        task_id=task.task_id,
        roadmap_id=task.roadmap_id,
        status=task.status,
        current_step=task.current_step,
        attempt=task.attempt,
        execution_arn=None if task.is_waiting else task.execution_arn,
        queue=read_place(connection, task.task_id, task.attempt) if task.is_waiting else None,
        generation_stopped=stop,
        progress={
            content_type: Progress(
                total=total, saved=total - count, missing=count, generated=generated[content_type]
            )
            for content_type, count in count_by_type(missing).items()
        },
        failed_items=list(first_that_fit(failed, lambda item: item.model_dump(mode="json"))),
        skipped_concepts=list(concepts.skipped),
        error_message=task.error_message,
        turn=turn_of(facts),
        updated_at=task.updated_at,
        completed_at=task.completed_at,
    )


def _facts(
    task: Task,
    concepts: KnownConcepts,
    missing: Sequence[Item],
    failed: Sequence[FailedItem],
    *,
    is_stopped: bool,
) -> TaskFacts:
    """The facts that decide whose turn a task is, without `sign_at` and `recovery`. If the framework cannot
    be read, the advice is that for the code in the task's message, and a completed task counts as complete.
    """
    is_unknown = not concepts.ids and task.status != "completed"
    advices = [advice_for(each.error_code, each.stage) for each in failed]
    if concepts.skipped:
        advices.append(advice_for(InvalidFrameworkError.code, Stage.WORKFLOW))
    elif is_unknown:  # the message begins with the code
        advices.append(advice_for((task.error_message or "").partition(":")[0], Stage.WORKFLOW))
    return TaskFacts(
        status=task.status,
        attempt=task.attempt,
        state=task.state,
        next_at=task.next_at,
        is_missing=bool(missing or concepts.skipped) or is_unknown,
        advice=worst(advices),
        is_erased=task.disowned_by is not None,
        roadmap_is_deleted=task.roadmap_is_deleted,
        grants=task.grants,
        is_stopped=is_stopped,
    )


def _failed_items(missing: Sequence[Item], known: Mapping[Item, Failure]) -> Iterator[FailedItem]:
    """The missing items with a failure of the last attempt."""
    for item in missing:
        if failure := known.get(item):
            yield FailedItem.model_validate(item._asdict() | failure._asdict())


def actions_for(caller: Caller, task: Task, status: TaskStatus) -> Actions:
    """The actions that a caller may take for a task. A request for one of them is refused only because of
    what is not in the task's row: the product's own work, an execution that cannot be redriven. No I/O.
    """
    may = caller.may_change(task.user_id)
    has_framework = any(each.total for each in status.progress.values())
    missing = any(each.missing for each in status.progress.values())
    startable = may and has_framework and reached_content(task) and not task.is_live
    return Actions(
        # Without missing items, it corrects the task's record; it is refused for skipped concepts.
        retry=startable and (missing or (task.status != "completed" and not status.skipped_concepts)),
        cancel=may and task.status in ("pending", "processing"),
        checkpoint=startable and missing and task.execution_arn is not None,
        narrow=startable,
    )
