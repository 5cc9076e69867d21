"""`roadmap capacity` reads and changes the capacity through the API."""

import json
from typing import Any

import pytest

from tests.unit.conftest import Api, Roadmap

CLASS = {
    "queue_class": "bulk",
    "waiting": 3,
    "waiting_tokens": 675_000,
    "oldest_waiting_since": None,
    "at_work": 1,
}
CAPACITY = {
    "slots": 4,
    "tokens_per_minute": 400_000,
    "stopped": True,
    "stopped_reason": "the bill [1]",
    "classes": [CLASS],
    "users": [CLASS | {"queue_key": "user:u-1"}],
    "changes": [],
}  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "change"),
    [
        (["--slots", "4", "--reason", "less"], {"slots": 4, "reason": "less"}),
        (["--tokens-per-minute", "0", "--reason", "all"], {"tokens_per_minute": 0, "reason": "all"}),
        (["--stop", "the bill"], {"stopped": True, "reason": "the bill"}),
        (["--resume", "--reason", "paid"], {"stopped": False, "reason": "paid"}),
        (["--resume", "--slots", "2"], {"stopped": False, "slots": 2, "reason": "no reason given"}),
    ],
)
def test_an_option_changes_only_what_it_names(
    roadmap: Roadmap, arguments: list[str], change: dict[str, Any]
) -> None:
    api = Api(CAPACITY)
    assert roadmap(api, "capacity", *arguments).exit_code == 0
    assert api.sent == [("PUT", "/capacity", change, {})]


def test_without_an_option_nothing_is_changed(roadmap: Roadmap) -> None:
    api = Api(CAPACITY)
    shown = roadmap(api, "capacity")
    assert api.sent == [("GET", "/capacity", None, {})]
    assert "generation is stopped: the bill [1]; 4 slots, 400000 tokens a minute" in shown.stdout
    assert "user:u-1" in shown.stdout
    assert json.loads(roadmap(api, "capacity", "--json").stdout) == CAPACITY


def test_a_stop_without_a_reason_is_refused(roadmap: Roadmap) -> None:
    """Owners of waiting tasks read it."""
    api = Api(CAPACITY)
    refused = roadmap(api, "capacity", "--stop", " ")
    assert refused.exit_code == 2
    assert "needs a reason" in refused.output
    assert api.sent == []
