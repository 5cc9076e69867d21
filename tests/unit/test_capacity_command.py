"""`roadmap capacity` reads and changes the capacity through the API."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from roadmap_command.main import app
from roadmap_command.target import Target
from roadmap_content.client import HttpAnswer

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
    "most_grants": 10,
    "stopped": True,
    "stopped_reason": "the bill [1]",
    "classes": [CLASS | {"grants": 5}],
    "users": [CLASS | {"queue_key": "user:u-1", "charged": 1}],
    "changes": [],
}  # fmt: skip


class Api:
    """Records each request."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, Any]] = []

    def send(self, method: str, path: str, document: object = None, **_: Any) -> HttpAnswer:
        self.requests.append((method, path, document))
        return HttpAnswer(200, CAPACITY)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    there = Api()

    class There:
        def operator_api(self) -> Any:
            return there

    monkeypatch.setattr(Target, "named", lambda *_: There())
    return there


def roadmap(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["capacity", *arguments])


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
def test_an_option_changes_only_what_it_names(api: Api, arguments: list[str], change: dict[str, Any]) -> None:
    assert roadmap(*arguments).exit_code == 0
    assert api.requests == [("PUT", "/capacity", change)]


def test_without_an_option_nothing_is_changed(api: Api) -> None:
    shown = roadmap()
    assert api.requests == [("GET", "/capacity", None)]
    assert "generation is stopped: the bill [1]; 4 slots, 400000 tokens a minute" in shown.stdout
    assert "user:u-1" in shown.stdout
    assert json.loads(roadmap("--json").stdout) == CAPACITY


def test_a_contradiction_is_refused(api: Api) -> None:
    assert roadmap("--stop", "the bill", "--resume").exit_code == 2
    assert roadmap("--slots", "0").exit_code == 2
    assert api.requests == []
