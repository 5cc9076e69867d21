"""The recoveries of tasks, as the capability that starts them gives them: `Capability.waiting`."""

from collections.abc import Sequence

from sqlalchemy import Connection, text

from .services import Capability
from .tasks.turn import InRecovery

_NOTHING = (
    "SELECT '' AS task_id, CAST(NULL AS text) AS recovery_id, 0 AS attempt, false AS is_paused,"
    " false AS regenerates WHERE false"
)


def waiting_tasks(capabilities: Sequence[Capability]) -> str:
    """As SQL: the tasks that wait for capabilities, with the columns of `Capability.waiting`."""
    return " UNION ALL ".join(each.waiting for each in capabilities if each.waiting) or _NOTHING


def recovery_of_task(waiting: str, task_id: str) -> str:
    """A SELECT of the recovery that decides the turn of a task: one that holds its attempt, or else one for
    missing items, and rather one that is not paused. `waiting`: of `waiting_tasks`; `task_id`: an expression.
    """
    return (
        f"SELECT recovery_id, attempt, is_paused, regenerates FROM ({waiting}) AS o"
        f" WHERE o.task_id = {task_id} ORDER BY attempt IS NULL, regenerates, is_paused, recovery_id LIMIT 1"
    )


def read_recoveries_of(
    connection: Connection, capabilities: Sequence[Capability], task_ids: Sequence[str]
) -> dict[str, InRecovery]:
    """The recoveries of tasks, by the task's id."""
    if not task_ids:
        return {}
    of_task = recovery_of_task(waiting_tasks(capabilities), "ids.task_id")
    statement = f"SELECT * FROM unnest(CAST(:ids AS text[])) AS ids(task_id), LATERAL ({of_task}) AS w"
    rows = connection.execute(text(statement), {"ids": list(task_ids)})
    return {task_id: InRecovery(*recovery) for task_id, *recovery in rows}
