"""Tasks in `processing`: those that a sweep looks at, and those that are stuck."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from .listing import HAS_ROADMAP
from .time_zone import earliest_instant, instant

# The time of the last event of a task `t`, and of its last sign: that event, or a change of its row. An event
# is recorded for each claim, and for each item that is saved or fails.
_LATEST_EVENT_AT = """(SELECT e.recorded_at FROM content_events e WHERE e.task_id = t.task_id
    ORDER BY e.position DESC LIMIT 1)"""

_PROGRESSED_AT = f"""greatest({earliest_instant("t.updated_at")}, {_LATEST_EVENT_AT})"""

_IS_WAITING = """EXISTS (SELECT FROM content_queue q
    WHERE q.task_id = t.task_id AND q.attempt = t.attempt AND q.state = 'waiting')"""

# Also a little later than now: the product's clock may be ahead. A time far ahead must not hide a task.
_JUST_NOW = """BETWEEN now() - make_interval(secs => :starting)
        AND now() + make_interval(secs => :starting)"""

# Reads our tasks in `processing` that were not changed just now, by either reading of a local time that
# occurs twice. A waiting attempt is left to admission, unless the roadmap is deleted: then nothing will start
# it. Those without progress for the longest time come first: a run that has died makes no progress, so it is
# reached even if each sweep checks only a page of them.
PROCESSING = text(f"""
SELECT t.task_id FROM roadmap_tasks t
WHERE t.status = 'processing' AND t.attempt > 0
    AND NOT {instant("t.updated_at")} {_JUST_NOW}
    AND NOT {earliest_instant("t.updated_at")} {_JUST_NOW}
    AND (NOT {_IS_WAITING} OR NOT {HAS_ROADMAP})
ORDER BY {_PROGRESSED_AT}, t.task_id LIMIT :limit
""")

LAST_SIGN = text(f"SELECT {_PROGRESSED_AT} FROM roadmap_tasks t WHERE t.task_id = :task_id")

STUCK_AFTER = timedelta(minutes=30)
"""The time without a sign after which a task at work counts as stuck, for the alarm."""

# Counts our tasks in `processing` that do not wait and have made no sign for a while. The columns of the row
# are compared first: tasks that changed recently need no look-up of an event.
COUNT_STUCK = text(f"""
SELECT count(*) FROM (
    SELECT FROM roadmap_tasks t,
        (SELECT now() - make_interval(secs => :seconds) AS at) AS since
    WHERE t.status = 'processing' AND t.attempt > 0 AND NOT {_IS_WAITING}
        AND {earliest_instant("t.updated_at")} < since.at
        AND coalesce({_LATEST_EVENT_AT} < since.at, true)
    LIMIT :limit) AS stuck
""")


def last_sign(connection: Connection, task_id: str) -> datetime | None:
    """The time of a task's last event, or of its last change if that is later."""
    at: datetime | None = connection.scalar(LAST_SIGN, {"task_id": task_id})
    return at


def processing_tasks(connection: Connection, older_than: timedelta, limit: int | None) -> Sequence[str]:
    """The tasks of `PROCESSING`; all of them with `limit` None."""
    parameters = {"starting": older_than.total_seconds(), "limit": limit}
    return connection.scalars(PROCESSING, parameters).all()


def count_stuck_tasks(connection: Connection, older_than: timedelta, limit: int) -> int:
    """The number of tasks in `processing`, not waiting, and without progress for a long time."""
    return int(connection.scalar(COUNT_STUCK, {"seconds": older_than.total_seconds(), "limit": limit}) or 0)
