"""Text that other people wrote does not control the operator's terminal."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from rich import progress as rich_progress

from roadmap_command import main, views
from roadmap_command.commands import operate, runs
from roadmap_command.interface import output
from roadmap_command.terminal import Terminal
from roadmap_content.api.status import Progress, TaskStatus
from roadmap_content.contracts.items import ContentType

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
    error_message=HOSTILE,
    updated_at=NOW,
    completed_at=None,
)

TASK = {
    "task_id": "t-1",
    "status": "failed",
    "needs_person": False,
    "progress": {"missing": 1, "total": 3},
    "top_reason": {"error_code": "E", "reason": HOSTILE},
    "title": HOSTILE,
    "attempt": 1,
}
ATTEMPT = {
    "attempt": 1,
    "actor": HOSTILE,
    "cause": "retry",
    "outcome": "failed",
    "step": "ended",
    "planned": None,
    "saved": None,
    "failed": None,
    "generated": None,
    "tokens": 0,
    "reason": HOSTILE,
}
LAST = {"total": 1, "total_is_exact": True}


class Api:
    """An API whose answers contain hostile text."""

    @classmethod
    def named(cls, _stack: str | None) -> "Api":
        return cls()

    def operator_api(self) -> "Api":
        return self


def pages(_api: Api, path: str, _limit: int, **_query: str) -> tuple[list[Any], Any]:
    return [ATTEMPT if path.endswith("attempts") else TASK], LAST


@pytest.mark.parametrize("command", [("tasks",), ("attempts", "t-1")])
def test_a_list_shows_any_title_and_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    monkeypatch.setattr(operate, "Target", Api)
    monkeypatch.setattr(operate, "pages", pages)
    main.app(command, standalone_mode=False)
    shown = capsys.readouterr().out
    assert SHOWN in shown
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(shown)


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


@pytest.mark.parametrize("missing", [0, 1])
def test_status_exits_with_1_if_items_are_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: int
) -> None:
    progress = Progress(total=1, saved=1 - missing, missing=missing, generated=0)
    status = STATUS.model_copy(update={"progress": dict.fromkeys(ContentType, progress)})
    monkeypatch.setattr(runs, "Target", Api)
    monkeypatch.setattr(runs, "read_task_detail", lambda *_: status)
    assert (main.app(("status", "t-1"), standalone_mode=False) or 0) == missing
    assert "t-1" in capsys.readouterr().out


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_an_encoding_that_lacks_a_character_ends_no_command(options: tuple[str, ...]) -> None:
    code = (
        "import sys; from roadmap_command import main; from roadmap_command.commands import operate;"
        "from tests.unit.test_terminal import Api, pages; operate.Target = Api; operate.pages = pages;"
        f"sys.argv = {['roadmap', 'tasks', *options]!r}; sys.exit(main.run())"
    )
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONPATH": paths},
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    if options:
        assert json.loads(done.stdout)["items"][0]["title"] == HOSTILE
    else:
        assert "\\u6570" in done.stdout
