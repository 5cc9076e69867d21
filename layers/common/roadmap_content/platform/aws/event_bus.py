"""The EventBridge bus that events are sent to."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ...contracts.errors import TransientError
from ...contracts.events import SOURCE, entry_size
from .clients import create_client

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

MAX_ENTRIES = 10
"""Maximum entries of one PutEvents request."""

MAX_BYTES = 256 * 1024
"""Maximum size of the entries of one PutEvents request, and so of an entry."""

_CONNECT_SECONDS, _READ_SECONDS = 2, 3
REQUEST_SECONDS = float(_CONNECT_SECONDS + _READ_SECONDS)
"""The time limit of one request. A failed request is not repeated: its events stay in the outbox."""

_ABOUT_ENTRIES = frozenset({"ValidationException", "ValidationError", "SerializationException"})
"""Codes of errors that an entry of the request causes. Other errors concern the bus or the caller."""


class EventBusUnavailableError(TransientError, code="EventBusUnavailable"):
    """A request failed for another reason than its events."""


class Entry(NamedTuple):
    """One event as it is sent."""

    event_id: str
    detail_type: str
    detail: str
    """JSON."""

    @property
    def size(self) -> int:
        """The bytes that count towards `MAX_BYTES`."""
        return entry_size(self.detail_type, self.detail)


class EventBus:
    """A bus, by its name or ARN."""

    def __init__(self, name: str) -> None:
        self._name = name

    @cached_property
    def _client(self) -> "EventBridgeClient":
        client: EventBridgeClient = create_client(
            "events",
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=_READ_SECONDS,
            retries={"total_max_attempts": 1},
        )
        return client

    def put(self, entries: Sequence[Entry]) -> dict[str, str]:
        """Send the events of one request; return the error codes of those that EventBridge refused, by event.
        If EventBridge refuses the request because of an entry, each entry is sent alone.
        Raises EventBusUnavailableError: the request failed. Its events may have been accepted.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.put_events(
                Entries=[
                    {
                        "EventBusName": self._name,
                        "Source": SOURCE,
                        "DetailType": entry.detail_type,
                        "Detail": entry.detail,
                    }
                    for entry in entries
                ]
            )
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code not in _ABOUT_ENTRIES:
                raise EventBusUnavailableError(f"PutEvents: {error}") from error
            if len(entries) == 1:
                return {entries[0].event_id: code}
            return {event_id: code for entry in entries for event_id, code in self.put([entry]).items()}
        except BotoCoreError as error:
            raise EventBusUnavailableError(f"PutEvents: {error}") from error
        return {
            entry.event_id: result.get("ErrorCode", "NotAccepted")
            for entry, result in zip(entries, answer["Entries"], strict=True)
            if "EventId" not in result
        }
