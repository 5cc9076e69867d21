"""The exclusion by an erasure: while it runs, nothing starts or restores a task of its user, and only it
and operators cancel one. Every step that claims imports this module, so it imports no model of the API.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

from ...contracts.errors import RoadmapLockedError
from ...state.services import Capability, Exclusion
from .errors import ErasureRunningError

# Finds one of the tasks whose user is being erased (an erasure names its user only while it runs), and
# whether an erasure, of any user, has ended since the tasks were read: ended ones do not name their user.
EXCLUDED = text("""
SELECT (SELECT t.task_id FROM content_erasures e JOIN roadmap_tasks t USING (user_id)
        WHERE t.task_id = ANY(:task_ids) LIMIT 1) AS task_id,
    EXISTS (SELECT FROM content_erasures WHERE ended_at > CAST(:read_at AS timestamptz)) AS has_ended
""")

# Conflicts with every write of the register: an erasure that begins or continues waits for the end of this
# transaction, and finds their changes.
HOLD_UP = text("LOCK TABLE content_erasures IN SHARE MODE")


def require_no_erasure(connection: Connection, task_ids: Sequence[str], read_at: datetime | None) -> None:
    """Require that no data of the tasks' users is being erased, nor has been since `read_at`: the time at
    which the caller read them in an earlier transaction (`None`: it has not).

    An erasure that begins later waits for the rows that the caller has locked, and finds their changes.

    Raises:
        ErasureRunningError: the data of a task's user is being erased.
        RoadmapLockedError: an erasure has ended since the tasks were read: decide anew.
    """
    found = connection.execute(EXCLUDED, {"task_ids": list(task_ids), "read_at": read_at}).one()
    if found.task_id is not None:
        raise ErasureRunningError(f"the data of the user of task {found.task_id} is being erased")
    if found.has_ended:
        raise RoadmapLockedError(f"an erasure has ended since task {task_ids[0]} was read")


def _hold_up(connection: Connection) -> None:
    connection.execute(HOLD_UP)


EXCLUSION = Exclusion(
    require=require_no_erasure,
    hold_up=_hold_up,
    # An erased task is the product's own again: attempt 0, the erasure's mark in `execution_arn`
    # (`disown_tasks`). Only a retry of the task itself starts it again, no filter.
    permits="NOT EXISTS (SELECT FROM content_erasures e WHERE e.user_id = t.user_id)"
    " AND NOT (t.attempt = 0 AND t.execution_arn IS NOT NULL)",
)
ERASURE_EXCLUSION = Capability(exclusion=EXCLUSION)
