"""Times of requests and answers, which have a zone, and of columns, which have none and hold UTC."""

from datetime import UTC, datetime
from typing import overload


@overload
def utc(moment: datetime) -> datetime: ...
@overload
def utc(moment: datetime | None) -> datetime | None: ...
def utc(moment: datetime | None) -> datetime | None:
    """Convert a time of a column for an answer."""
    return None if moment is None else moment.replace(tzinfo=UTC)


def naive_utc(moment: datetime) -> datetime:
    """Convert a time of a request for a column. A time without a zone counts as UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
