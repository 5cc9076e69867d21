"""The time zone of the product's timestamps, which have none: rows that contradict a configured zone.

A row that was created in the future of a zone proves that the zone is wrong. The reverse proves nothing: if
the configured zone is ahead of the product's, its new rows only look old.
"""

from datetime import timedelta

from sqlalchemy import Connection, text

from .local_time import earliest_instant

TOLERANCE = timedelta(minutes=5)
"""The difference between two clocks that proves nothing."""

STEP = timedelta(minutes=30)
"""Offsets of time zones are multiples of this, with a few exceptions of a quarter of an hour."""

# The first attempt of a task was claimed after the task was created, so the contradiction stays visible after
# the time has passed. The newest tasks are read through an index. As seconds, because pg8000 reads the
# interval `-00:00:01` as positive.
AHEAD = text(f"""
SELECT CAST(extract(epoch FROM max(
    {earliest_instant("t.created_at")} - least(timezone('utc', now()), a.claimed_at)
)) AS double precision)
FROM (SELECT task_id, created_at FROM roadmap_tasks ORDER BY created_at DESC, task_id DESC LIMIT 100) t
LEFT JOIN content_attempts a ON a.task_id = t.task_id AND a.attempt = 1
""")


def time_ahead(connection: Connection) -> timedelta:
    """The time by which the newest tasks are ahead of the clock in the configured zone; at least 0."""
    return timedelta(seconds=max(connection.scalar(AHEAD) or 0.0, 0.0))


def contradicts(ahead: timedelta) -> bool:
    """Whether rows that are this much ahead of the clock prove that its zone is wrong. No I/O."""
    return ahead > TOLERANCE


def propose_offset(ahead_of_utc: timedelta) -> timedelta | None:
    """The offset of the zone in which a row that is this much ahead of UTC was created a moment ago. No I/O.

    `None` if the row is so old that it shows nothing.
    """
    if ahead_of_utc <= -STEP:
        return None
    if not contradicts(ahead_of_utc):
        return timedelta(0)
    return -(-(ahead_of_utc - TOLERANCE) // STEP) * STEP


def describe_offset(offset: timedelta) -> str:
    """An offset or a difference as hours and minutes: `08:00`. No I/O."""
    minutes = round(offset.total_seconds() / 60)
    return f"{minutes // 60:02}:{minutes % 60:02}"
