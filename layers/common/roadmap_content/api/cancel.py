"""Cancel: mark a task as cancelled and stop its execution. Work in progress ends within the time of one
item.
"""

from typing import Literal

from sqlalchemy import Connection

from ..contracts import Payload
from ..errors import NotCancellableError
from ..postgres.transactions import transact
from ..runtime.deadline import Deadline
from ..runtime.log import logger
from ..services import Services
from ..tasks.task import Task, cancel_row, read_task


class CancelAnswer(Payload):
    """The answer of `POST /api/v1/tasks/{task_id}/cancel`."""

    success: bool = True
    task_id: str
    status: Literal["cancelled"] = "cancelled"
    attempt: int
    stopped_execution: str | None


def cancel_task(
    services: Services, task_id: str, user_id: str | None, deadline: Deadline, actor: str, reason: str | None
) -> CancelAnswer:
    """Cancel a task. The row is written first, so that an execution that cannot be stopped starts no further
    item.

    `user_id` restricts it to that user's tasks. Cancelling a cancelled task changes nothing.

    Raises:
        TaskNotFoundError: the user has no such task.
        NotCancellableError: the task is completed.
        DatabaseUnavailableError, ExecutionsUnavailableError: a retry may succeed.
    """

    def cancel(connection: Connection) -> Task:
        task = read_task(connection, task_id, user_id)
        if task.status == "completed":
            raise NotCancellableError(f"task {task_id} is completed")
        cancel_row(connection, task_id, f"Cancelled by {actor}" + (f": {reason}" if reason else ""))
        return task

    task = transact(services.engine, cancel, deadline)
    stopped = None
    if task.execution_arn is not None and services.executions.stop(task.execution_arn):
        stopped = task.execution_arn
    logger.info("task_cancelled", task_id=task_id, attempt=task.attempt, stopped_execution=stopped)
    return CancelAnswer(task_id=task_id, attempt=task.attempt, stopped_execution=stopped)
