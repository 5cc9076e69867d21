"""SQL of the product's timestamps, which have no time zone and are in the zone of the database's owner.

Compare them as instants. In a zone with daylight saving, local time does not order them: when the clocks go
back, an hour occurs twice, and a local time in it has two instants; when they go forward, a time in the hour
that is left out is an instant of the next one.
"""

_DAY = "interval '1 day'"

_ZONE = "(SELECT content_time_zone())"
"""Once per statement, not per row: a function with a search path of its own is called, not inlined."""

WIDEST_SHIFT = "interval '3 hours'"
"""Clocks are not moved by more: a comparison of local times that is wider by this loses no row. Only local
times have an index.
"""


def instant(column: str) -> str:
    """The instant of a column, in UTC; the later one, if its local time occurs twice."""
    return f"timezone('UTC', timezone({_ZONE}, {column}))"


def local(moment: str) -> str:
    """The local time of an instant in UTC."""
    return f"timezone(content_time_zone(), timezone('UTC', {moment}))"


def earliest_instant(column: str) -> str:
    """The instant of a column, in UTC; the earlier one, if its local time occurs twice."""
    # The instant by the offset of the day before, if it has this local time.
    earlier, later = f"({instant(f'{column} - {_DAY}')} + {_DAY})", instant(column)
    local_again = f"timezone({_ZONE}, timezone('UTC', {earlier}))"
    return f"CASE WHEN {local_again} = {column} THEN least({earlier}, {later}) ELSE {later} END"
