"""Cancel: mark a task as cancelled and stop its execution. Work in progress ends within the time of one
item. A task that misses nothing, because its attempt replaces saved items, is completed instead: only its
attempt is cancelled.
"""

from sqlalchemy import Connection

from ..contracts.api.tasks import CancelAnswer
from ..contracts.errors import (
    AtWorkElsewhereError,
    InvalidFrameworkError,
    NotCancellableError,
    RoadmapNotFoundError,
)
from ..platform.aws.executions import ExecutionsUnavailableError
from ..platform.postgres.transactions import transact, transact_in_parts
from ..platform.runtime.deadline import Deadline
from ..platform.runtime.log import logger
from ..runs.steps.end_attempt import RunEnd, end_attempt
from ..state.outbox import record_events
from ..state.queue.queue import leave_queue
from ..state.services import Services
from ..state.tasks.attempts import cancel_attempt, forget_next_attempt
from ..state.tasks.ownership import is_at_work_elsewhere
from ..state.tasks.task import (
    Task,
    cancel_row,
    lift_cancellation,
    lock_task,
    read_product_work,
    read_snapshot,
    read_task,
)


def cancel_task(
    services: Services, task_id: str, user_id: str | None, deadline: Deadline, actor: str, reason: str | None
) -> CancelAnswer:
    """Cancel a task. The row is written first, so that a run that cannot be stopped starts no further item.

    `user_id` restricts it to that user's tasks. Cancelling again changes only its place in the queue.

    Raises:
        TaskNotFoundError: the user has no such task.
        NotCancellableError: the task is completed.
        AtWorkElsewhereError: the product is processing the task.
        DatabaseUnavailableError: a retry may succeed.
    """
    by = actor.partition(":")[0]  # `user` or `operator`: the owner reads it; the event has the name

    def cancel(connection: Connection) -> tuple[Task, str, bool]:
        lock_task(connection, task_id, user_id)  # otherwise a claim may come between these statements
        task = read_task(connection, task_id, user_id)
        if by == "user":  # an erasure cancels the tasks of its user itself, as an operator may
            services.require_permitted(connection, task_id)
        # Work on another task of the roadmap is not stopped by a cancellation, and does not prevent it.
        work_on_task, _ = read_product_work(connection, task_id)
        if is_at_work_elsewhere(work_on_task):
            raise AtWorkElsewhereError(f"task {task_id} is {work_on_task.status} in the product's workers")
        if task.status == "completed":
            raise NotCancellableError(f"task {task_id} is completed")
        is_cancelled_now = task.status != "cancelled"
        status = "cancelled"
        if is_cancelled_now:  # first, also if the task is then completed: that lifts a cancellation
            cancel_row(connection, task_id, f"Cancelled by {by}" + (f": {reason}" if reason else ""))
            forget_next_attempt(connection, task_id, task.attempt)
            if task.attempt_is_open and _misses_nothing(connection, task):
                cancel_attempt(connection, task_id, task.attempt)
                status = "completed"
                lift_cancellation(connection, task_id, status)
        waited = leave_queue(connection, task_id, task.attempt)
        if is_cancelled_now:
            record_events(services, connection, [task.events.cancelled(actor)])
        return task, status, waited

    task, status, waited = transact(services.engine, cancel, deadline)
    stopped = None
    if waited:  # no execution of it records its end
        subject = task_id, task.attempt, RunEnd(), task.execution_arn
        transact_in_parts(services.engine, end_attempt, deadline, services, *subject)
    if task.execution_arn is not None:  # also of a redrive that waits: the console may have redriven it
        try:
            stopped = task.execution_arn if services.executions.stop(task.execution_arn) else None
        except ExecutionsUnavailableError as error:  # the task is cancelled: that is the answer
            logger.warning("execution_not_stopped", task_id=task_id, reason=str(error))
    logger.info("task_cancelled", task_id=task_id, attempt=task.attempt, stopped_execution=stopped)
    return CancelAnswer.model_validate(
        {"task_id": task_id, "status": status, "attempt": task.attempt, "stopped_execution": stopped}
    )


def _misses_nothing(connection: Connection, task: Task) -> bool:
    """Whether every item is saved; `False` if the framework cannot be read."""
    try:
        snapshot = read_snapshot(connection, task)
    except (RoadmapNotFoundError, InvalidFrameworkError):
        return False
    return not snapshot.missing and snapshot.framework.fault is None
