"""The time zone of the product's timestamps, which have none: they are in the zone of the database's owner.

Compare them as instants. In a zone with daylight saving, local time does not order them: when the clocks go
back, an hour occurs twice, and a local time in it has two instants; when they go forward, a time in the hour
that is left out is an instant of the next one.

A row that was created in the future of a zone proves that the zone is wrong. The reverse proves nothing: if
the configured zone is ahead of the product's, its new rows only look old.
"""

from datetime import timedelta

from sqlalchemy import Connection, text

_DAY = "interval '1 day'"

_ZONE = "(SELECT content_time_zone())"
"""Once per statement, not per row: a function with a search path of its own is called, not inlined."""

WIDEST_SHIFT = "interval '3 hours'"
"""Clocks are not moved by more: a comparison of local times that is wider by this loses no row. Only local
times have an index.
"""

_FIRST, _LAST = "timestamp '0001-01-02'", "timestamp '9999-12-30'"


def _bounded(column: str) -> str:
    """A column, limited to the times of Python, less a day for the difference of zones. The product's columns
    may hold any time of PostgreSQL, with infinity, from which no day can be subtracted.
    """
    return (
        f"CASE WHEN {column} < {_FIRST} THEN {_FIRST} WHEN {column} > {_LAST} THEN {_LAST} ELSE {column} END"
    )


def instant(column: str) -> str:
    """The instant of a column of the product; the later one, if its local time occurs twice."""
    return _instant(_bounded(column))


def _instant(moment: str) -> str:
    return f"timezone({_ZONE}, {moment})"


def local(moment: str) -> str:
    """The local time of an instant: both are SQL."""
    return f"timezone(content_time_zone(), {moment})"


def earliest_instant(column: str) -> str:
    """The instant of a column of the product; the earlier one, if its local time occurs twice."""
    # A day after this local time of the day before: by the offset before a change of the clocks. It is the
    # earlier instant, if it has this local time at all.
    moment = f"({_bounded(column)})"
    earlier, later = f"({_instant(f'{moment} - {_DAY}')} + {_DAY})", _instant(moment)
    local_again = f"timezone({_ZONE}, {earlier})"
    return f"CASE WHEN {local_again} = {moment} THEN least({earlier}, {later}) ELSE {later} END"


TOLERANCE = timedelta(minutes=5)
"""The difference between two clocks that proves nothing."""

# Reads the seconds by which the newest tasks were created after the present, or after the claim of their
# first attempt: the claim comes after the creation, so the contradiction stays visible after the time has
# passed. No zone is two days ahead of another: later times prove nothing. The newest tasks are read through
# an index. As seconds, because pg8000 reads the interval `-00:00:01` as positive.
AHEAD = text(f"""
SELECT CAST(extract(epoch FROM max(
    {earliest_instant("t.created_at")} - least(now(), a.claimed_at)
)) AS double precision)
FROM (SELECT task_id, created_at FROM roadmap_tasks
    WHERE created_at < timezone('utc', now()) + interval '2 days'
    ORDER BY created_at DESC, task_id DESC LIMIT 20) t
LEFT JOIN content_attempts a ON a.task_id = t.task_id AND a.attempt = 1
""")


def time_ahead(connection: Connection) -> timedelta:
    """The time by which the newest tasks are ahead of the clock in the configured zone; at least 0."""
    return timedelta(seconds=max(connection.scalar(AHEAD) or 0.0, 0.0))


def contradicts(ahead: timedelta) -> bool:
    """Whether rows that are this much ahead of the clock prove that its zone is wrong. No I/O."""
    return ahead > TOLERANCE


def describe_offset(offset: timedelta) -> str:
    """An offset or a difference as hours and minutes: `08:00`. No I/O."""
    minutes = round(offset.total_seconds() / 60)
    return f"{minutes // 60:02}:{minutes % 60:02}"
