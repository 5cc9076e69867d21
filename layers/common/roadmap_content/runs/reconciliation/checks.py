"""The tables `content_checks` and `content_changes`: when a sweep checks a finished task next.

A task is checked after a change of its rows, then after `FIRST_PAUSE`, and then after pauses that double, up
to `LONGEST_PAUSE`: the cost of a sweep follows the changes, not the number of finished tasks. Triggers record
the changes in `content_changes`, by a plain INSERT: it waits for no lock, so no write of the product waits
for a sweep. A sweep moves them to `content_checks`.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import Connection, text

from ...contracts.items import MAX_REASON
from ...state.tasks.listing import HAS_ROADMAP, of_roadmap
from ...state.tasks.time_zone import instant

FIRST_PAUSE = timedelta(minutes=15)
"""The pause after the first check of a change, and after a check that failed."""

LONGEST_PAUSE = timedelta(days=30)

# Whether a sweep checks a finished task `t`: not if it was never claimed, or the product has deleted its
# roadmap.
IS_CHECKED = f"""t.status IN ('completed', 'partial_failure', 'failed', 'cancelled') AND t.attempt > 0
    AND {HAS_ROADMAP}"""

# Takes the oldest changes, and plans a check, now, of each task that they name, or of each finished task of
# ours in their roadmaps; `:first` is the pause after it. `OFFSET 0` forces one lookup per roadmap, in the
# index on 100 characters of its id, whatever the statistics. In the order of the tasks: two invocations that
# plan the same checks then wait for each other instead of deadlocking.
PLAN = text(f"""
WITH taken_changes AS (
    DELETE FROM content_changes WHERE change_id IN
        (SELECT change_id FROM content_changes ORDER BY change_id LIMIT :limit)
    RETURNING roadmap_id, task_id
), planned_checks AS (
    INSERT INTO content_checks (task_id, next_check_at, pause)
    SELECT changed.task_id, now(), make_interval(secs => :first)
    FROM (SELECT task_id FROM taken_changes WHERE task_id IS NOT NULL
        UNION SELECT of_roadmap.task_id FROM (SELECT DISTINCT roadmap_id FROM taken_changes) AS c, LATERAL (
            SELECT t.task_id FROM roadmap_tasks t
            WHERE {of_roadmap("t", "c.roadmap_id")} AND t.attempt > 0 AND t.status <> 'processing'
            OFFSET 0) AS of_roadmap) AS changed
    ORDER BY changed.task_id
    ON CONFLICT (task_id) DO UPDATE SET
        next_check_at = least(content_checks.next_check_at, excluded.next_check_at), pause = excluded.pause
)
SELECT count(*) FROM taken_changes
""")

# Deletes the due checks of tasks that are not checked: such a row would stay the next one for ever. The
# task's next change plans its check again.
FORGET = text(f"""
DELETE FROM content_checks c WHERE c.next_check_at <= now()
    AND NOT EXISTS (SELECT FROM roadmap_tasks t WHERE t.task_id = c.task_id AND {IS_CHECKED})
""")

# Reads the tasks that are due, the longest wait first.
DUE = text(f"""
SELECT t.task_id FROM content_checks c JOIN roadmap_tasks t USING (task_id)
WHERE c.next_check_at <= now() AND {IS_CHECKED} ORDER BY c.next_check_at, t.task_id
""")

# Reads all tasks that a sweep checks, the longest time without a check first.
FINISHED = text(f"""
SELECT t.task_id FROM roadmap_tasks t LEFT JOIN content_checks c ON c.task_id = t.task_id
WHERE {IS_CHECKED} ORDER BY coalesce(c.checked_at, {instant("t.updated_at")}), t.task_id
""")

# Records a check, and plans the next one: after the task's pause, which doubles, or after the first pause if
# the check failed or no change has planned it. A task that another session holds stays due: an erasure may be
# removing what this would write. One whose user was erased since it was read has attempt 0.
RECORD = text("""
INSERT INTO content_checks AS c (task_id, checked_at, next_check_at, pause, error_code, reason)
SELECT task_id, now(), now() + first.pause, 2 * first.pause, :error_code, :reason
FROM roadmap_tasks t, (SELECT make_interval(secs => :first) AS pause) AS first
WHERE task_id = :task_id AND attempt > 0 FOR NO KEY UPDATE OF t SKIP LOCKED
ON CONFLICT (task_id) DO UPDATE SET
    checked_at = excluded.checked_at, error_code = excluded.error_code, reason = excluded.reason,
    next_check_at = CASE WHEN excluded.error_code IS NULL THEN excluded.checked_at + c.pause
        ELSE excluded.next_check_at END,
    pause = CASE WHEN excluded.error_code IS NULL THEN least(2 * c.pause, make_interval(secs => :longest))
        ELSE c.pause END
""")

_FIRST = FIRST_PAUSE.total_seconds()
_LONGEST = LONGEST_PAUSE.total_seconds()


def plan_checks(connection: Connection, limit: int) -> int:
    """Plan a check of the tasks of the oldest recorded changes; return the number of changes."""
    return int(connection.scalar(PLAN, {"limit": limit, "first": _FIRST}) or 0)


def forget_unchecked_tasks(connection: Connection) -> None:
    """Delete the due checks of tasks that a sweep does not check."""
    connection.execute(FORGET)


def due_tasks(connection: Connection) -> Sequence[str]:
    """The finished tasks that are due for a check, the longest wait first."""
    return connection.scalars(DUE).all()


def finished_tasks(connection: Connection) -> Sequence[str]:
    """All finished tasks of ours, the longest time without a check first."""
    return connection.scalars(FINISHED).all()


def record_check(
    connection: Connection, task_id: str, error_code: str | None = None, reason: str | None = None
) -> None:
    """Record that a task of ours was checked, with the error if the check failed, and plan its next check."""
    check = {"task_id": task_id, "error_code": error_code, "reason": reason and reason[:MAX_REASON]}
    connection.execute(RECORD, check | {"first": _FIRST, "longest": _LONGEST})
