"""The time zone of times that come from a request."""

from datetime import UTC, datetime

from .errors import InvalidRequestError


def in_utc(moment: datetime) -> datetime:
    """A time in UTC. One without a zone is taken as UTC.

    Raises:
        InvalidRequestError: its year in UTC is below 1 or above 9999.
    """
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidRequestError("a time must be between the years 1 and 9999 in UTC") from None
