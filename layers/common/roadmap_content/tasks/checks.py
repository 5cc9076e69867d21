"""The table `content_checks`: when a sweep last checked a task, and its error.

Tasks are checked in the order of their last check, so that every task is reached.
"""

import json
from collections.abc import Collection, Sequence
from datetime import timedelta

from sqlalchemy import Connection, text

from .failures import storable_text
from .local_time import utc

# Selects only our tasks: not those that were never claimed, nor those with a deleted roadmap. The order is by
# the time since the last check or, without a check, since the last change; longest first.
DUE = text(f"""
SELECT t.task_id FROM roadmap_tasks t LEFT JOIN content_checks c ON c.task_id = t.task_id
WHERE t.status IN ('completed', 'partial_failure', 'failed', 'cancelled') AND t.attempt > 0
    AND NOT EXISTS (SELECT FROM roadmap_metadata r
        WHERE r.roadmap_id = t.roadmap_id AND r.deleted_at IS NOT NULL)
    AND (c.checked_at IS NULL OR c.checked_at < timezone('utc', now()) - make_interval(secs => :every))
    AND t.task_id NOT IN (SELECT json_array_elements_text(CAST(:seen AS json)))
ORDER BY coalesce(c.checked_at, {utc("t.updated_at")}), t.task_id LIMIT :limit
""")

RECORD = text("""
INSERT INTO content_checks (task_id, checked_at, error_code, reason)
VALUES (:task_id, timezone('utc', now()), :error_code, :reason)
ON CONFLICT (task_id) DO UPDATE SET
    checked_at = excluded.checked_at, error_code = excluded.error_code, reason = excluded.reason
""")


def due_tasks(connection: Connection, every: timedelta, seen: Collection[str], limit: int) -> Sequence[str]:
    """The finished tasks that are due for a check, the longest wait first, without those in `seen`."""
    parameters = {"every": every.total_seconds(), "seen": json.dumps(list(seen)), "limit": limit}
    return connection.scalars(DUE, parameters).all()


def record_check(
    connection: Connection, task_id: str, error_code: str | None = None, reason: str | None = None
) -> None:
    """Record that a task was checked, with the error if the check failed."""
    reason = None if reason is None else storable_text(reason)
    connection.execute(RECORD, {"task_id": task_id, "error_code": error_code, "reason": reason})
