"""`GET /api/v1/tasks/{task_id}`: a task's status, with the actions that the caller may take."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from ..contracts.api.tasks import Actions, Progress, TaskDetail, TaskStatus, TaskTokens
from ..contracts.items import ContentType
from ..contracts.times import utc
from ..platform.aws.executions import execution_url
from ..platform.postgres.transactions import transact
from ..platform.runtime.deadline import Deadline
from ..state.services import Services
from ..state.tasks.ownership import reached_content
from ..state.tasks.task import Task, read_extras, read_task
from .callers import Caller
from .status import read_status


def read_detail(
    services: Services, task_id: str, user_id: str | None, caller: Caller, deadline: Deadline
) -> TaskDetail:
    """Read a task; with `user_id`, only a task of that user.

    Raises:
        TaskNotFoundError: there is none.
        DatabaseUnavailableError: a retry may succeed.
    """

    def read(connection: Connection) -> tuple[Task, TaskStatus, Any]:
        task = read_task(connection, task_id, user_id)
        status = read_status(connection, task, services.framework_cache)
        return task, status, read_extras(connection, task_id)

    task, status, extras = transact(services.reading_engine, read, deadline)
    budget = services.settings.known_token_budget
    return TaskDetail(
        **dict(status),
        title=extras.title,
        created_at=utc(extras.created_at),
        user_id=task.user_id,
        live=task.is_live,
        execution_url=execution_url(status.execution_arn),
        actions=actions_for(caller, task, status.progress),
        tokens=TaskTokens(used=extras.tokens, budget=budget),
    )


def actions_for(caller: Caller, task: Task, progress: Mapping[ContentType, Progress]) -> Actions:
    """The actions that a caller may take for a task. A request for one of them is refused only because of
    what is not in the task's row: the product's own work, an execution that cannot be redriven. No I/O.
    """
    may = caller.changes_all or (not caller.changes_nothing and caller.user_id == task.user_id)
    has_framework = any(each.total for each in progress.values())
    missing = any(each.missing for each in progress.values())
    startable = may and has_framework and reached_content(task) and not task.is_live
    return Actions(
        retry=startable and (missing or task.status != "completed"),
        cancel=may and task.status in ("pending", "processing"),
        checkpoint=startable and missing and task.execution_arn is not None,
        narrow=startable,
    )
