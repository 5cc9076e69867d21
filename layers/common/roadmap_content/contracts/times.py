"""Convert between instants (with a zone) and the times of columns (UTC, without a zone)."""

from datetime import UTC, datetime
from typing import Annotated, TypeVar

from pydantic import AfterValidator

from .errors import InvalidRequestError

MomentT = TypeVar("MomentT", datetime, datetime | None)


def utc(moment: MomentT) -> MomentT:
    """The instant of a time from a column."""
    return None if moment is None else moment.replace(tzinfo=UTC)


UtcTime = Annotated[datetime, AfterValidator(utc)]
"""A field of a response that is read from a column."""


def naive_utc(moment: datetime) -> datetime:
    """Convert a time, such as one of a request, for a column. One without a zone is taken as UTC.
    Raises InvalidRequestError: its year in UTC is below 1 or above 9999.
    """
    if moment.tzinfo is None:
        return moment
    try:
        return moment.astimezone(UTC).replace(tzinfo=None)
    except OverflowError:
        raise InvalidRequestError("a time must be between the years 1 and 9999 in UTC") from None
