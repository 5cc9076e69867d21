"""Text that other people wrote does not control the operator's terminal."""

import io
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from queue import SimpleQueue

import pytest
from rich import progress as rich_progress
from rich.text import Text

from roadmap_command import main, terminal, views
from roadmap_command.interface import output
from roadmap_command.terminal import Terminal
from roadmap_content.client.http import HttpAnswer
from roadmap_content.contracts.api.tasks import Progress, TaskStatus
from roadmap_content.contracts.api.turn import Turn
from roadmap_content.contracts.items import ContentType
from roadmap_content.contracts.states import Who
from tests.support.openapi import example
from tests.unit.conftest import Roadmap, stand_in

HOSTILE = "Linux paths [/etc] [bold]x :bug: \x1b[2J\x1b]0;owned\x07 \x9b2J \u202ereversed 数据"
SHOWN = "Linux paths [/etc] [bold]x :bug: [2J]0;owned 2J reversed 数据"

NOW = datetime(2026, 11, 28, tzinfo=UTC)

STATUS = TaskStatus(
    task_id="t-1",
    roadmap_id=None,
    status="failed",
    current_step=None,
    attempt=1,
    execution_arn=None,
    progress={},
    failed_items=[],
    skipped_concepts=[],
    error_message=HOSTILE,
    turn=Turn(who=Who.PERSON, why="Retry it."),
    updated_at=NOW,
    completed_at=None,
)


class Api:
    """An API with hostile text in its answers. `missing` items of each type are missing."""

    def __init__(self, missing: int = 1, skipped: Sequence[str] = ()) -> None:
        self._skipped = skipped
        self._progress = {"total": 1, "saved": 1 - missing, "missing": missing, "generated": 0}

    def send(self, _method: str, path: str, *_: object, **__: object) -> HttpAnswer:
        if path == "/tasks/t-1":
            progress = dict.fromkeys(ContentType, self._progress)
            detail = example("TaskDetail", task_id="t-1", progress=progress, skipped_concepts=self._skipped)
            return HttpAnswer(200, detail)
        if path.endswith("/items"):
            return HttpAnswer(200, example("ItemMap", next_cursor=None))
        if path.endswith("/attempts"):
            rows = [example("AttemptRow", actor=actor, reason=HOSTILE) for actor in (HOSTILE, "console")]
            return HttpAnswer(200, {"items": rows, "next_cursor": None})
        reason = example("TopReason", reason=HOSTILE)
        rows = [example("TaskRow", status="failed", title=HOSTILE, top_reason=reason)]
        return HttpAnswer(200, {"items": rows, "next_cursor": None, "total": 1, "total_is_exact": True})


@pytest.mark.parametrize("command", [("tasks",), ("show", "t-1")])
def test_a_list_shows_any_title_and_reason(roadmap: Roadmap, command: tuple[str, ...]) -> None:
    shown = roadmap(Api(), *command).stdout
    assert SHOWN in shown
    assert ("direct start" in shown) == ("show" in command)
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(shown)


def test_a_run_that_is_followed_in_a_pipe_says_what_is_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: the first run of the demonstration was silent for 21 seconds."""
    lines = SimpleQueue[str]()
    monkeypatch.setattr(terminal, "SILENT_SECONDS", 0.01)
    monkeypatch.setattr(Terminal, "print", lambda _, line: lines.put(line))
    progress = Progress(total=30, saved=20, missing=10, generated=0)
    with views.bars(Terminal()) as shown:
        shown.show(STATUS.model_copy(update={"progress": dict.fromkeys(ContentType, progress)}))
        while not lines.get(timeout=30).startswith("60 of 90 items are saved: "):
            pass


@pytest.mark.parametrize(("no_color", "codes"), [("1", 0), ("", 2)])
def test_no_color_sends_no_code_to_a_terminal(
    no_color: str, codes: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm"), ("NO_COLOR", no_color)):
        monkeypatch.setenv(name, value)
    Terminal().print(Text("bold", style="bold red"))
    assert capsys.readouterr().out.count("\x1b") == codes


def test_a_json_document_holds_them_as_escapes(roadmap: Roadmap) -> None:
    shown = roadmap(Api(), "tasks", "--json").stdout
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(shown)
    assert json.loads(shown)["items"][0]["title"] == HOSTILE


def test_a_status_and_a_line_of_a_terminal_show_no_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output().print(views.outcome(STATUS))
    output().print(HOSTILE)
    terminal = Terminal()
    with rich_progress.Progress(console=terminal, disable=True):
        terminal.print(HOSTILE)
    shown = capsys.readouterr().out
    assert shown.count(SHOWN) == 3
    assert not {"\x1b", "\x07", "\x9b"} & set(shown)


@pytest.mark.parametrize(("missing", "skipped"), [(0, ()), (1, ()), (0, ("stages[0]: no id",))])
def test_the_status_of_an_incomplete_task_exits_with_1(
    roadmap: Roadmap, missing: int, skipped: Sequence[str]
) -> None:
    result = roadmap(Api(missing, skipped), "status", "t-1")
    assert result.exit_code == int(bool(missing or skipped))
    assert "t-1" in result.stdout


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_an_encoding_that_lacks_a_character_ends_no_command(
    options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(Api(), monkeypatch.setattr)
    monkeypatch.setattr(sys, "argv", ["roadmap", "tasks", *options])
    with io.TextIOWrapper(io.BytesIO(), encoding="ascii") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        assert main.run() == 0
        terminal.seek(0)
        shown = terminal.read()
    assert "\\u6570" in shown
    assert not options or json.loads(shown)["items"][0]["title"] == HOSTILE
