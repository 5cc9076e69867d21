"""Convert between the times of requests and responses (with a zone) and of columns (UTC, without a zone)."""

from datetime import UTC, datetime
from typing import overload


@overload
def utc(moment: datetime) -> datetime: ...
@overload
def utc(moment: datetime | None) -> datetime | None: ...
def utc(moment: datetime | None) -> datetime | None:
    """Convert a time from a column for a response."""
    return None if moment is None else moment.replace(tzinfo=UTC)


def naive_utc(moment: datetime) -> datetime:
    """Convert a time from a request for a column. A time without a zone is taken as UTC."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
