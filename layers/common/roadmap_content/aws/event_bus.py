"""The EventBridge bus that events are sent to."""

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from ..errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_events import EventBridgeClient

SOURCE = "app.roadmap.content"
"""The `source` of every event."""

_MOST_ENTRIES = 10
"""Maximum entries of one PutEvents request."""


class EventBusUnavailableError(TransientError):
    """EventBridge did not accept any event."""

    code = "EventBusUnavailable"


class Entry(NamedTuple):
    """One event as it is sent."""

    event_id: str
    detail_type: str
    detail: str
    """JSON."""


class EventBus:
    """A bus, by its name or ARN."""

    def __init__(self, name: str) -> None:
        self._name = name

    @cached_property
    def _client(self) -> "EventBridgeClient":
        import boto3  # imported here: only an invocation that sends events needs it
        from botocore.config import Config

        return boto3.client(
            "events",
            config=Config(connect_timeout=3, read_timeout=5, retries={"mode": "standard", "max_attempts": 2}),
        )

    def put(self, entries: Sequence[Entry]) -> list[str]:
        """Send events; return the ids of those that EventBridge accepted.

        Raises:
            EventBusUnavailableError: a request failed. Its events are sent again.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        taken: list[str] = []
        for start in range(0, len(entries), _MOST_ENTRIES):
            part = entries[start : start + _MOST_ENTRIES]
            try:
                answer = self._client.put_events(
                    Entries=[
                        {
                            "EventBusName": self._name,
                            "Source": SOURCE,
                            "DetailType": entry.detail_type,
                            "Detail": entry.detail,
                        }
                        for entry in part
                    ]
                )
            except (BotoCoreError, ClientError) as error:
                raise EventBusUnavailableError(f"PutEvents: {error}") from error
            taken += [
                entry.event_id
                for entry, result in zip(part, answer["Entries"], strict=True)
                if "EventId" in result
            ]
        return taken
