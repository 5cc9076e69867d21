"""An event bus for tests that stores the events."""

import json
from collections.abc import Sequence
from typing import Any

from roadmap_content.contracts.events import DetailType
from roadmap_content.platform.aws.event_bus import Entry, EventBus, EventBusUnavailableError


class Received(EventBus):
    """A bus that can be down."""

    def __init__(self) -> None:
        super().__init__("bus")
        self.entries: list[Entry] = []
        self.down = False

    def put(self, entries: Sequence[Entry]) -> dict[str, str]:
        if self.down:
            raise EventBusUnavailableError("down")
        self.entries += entries
        return {}

    def of(self, detail_type: DetailType) -> list[dict[str, Any]]:
        return [json.loads(one.detail) for one in self.entries if one.detail_type == detail_type]
