"""The options of a filter: the help contains their values, and a mistyped status is reported."""

import re
from typing import Any

import typer
from typer.testing import CliRunner

from roadmap_command.filter_options import filtered

app = typer.Typer()
received: list[dict[str, Any]] = []


@app.command()
@filtered
def tasks(chosen: dict[str, Any]) -> None:
    """Keep the filter."""
    received.append(chosen)


def test_the_help_contains_the_statuses_and_the_content_types() -> None:
    text = re.sub(r"[│\s]+", " ", CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout)
    assert "pending, processing, completed, partial_failure, failed, cancelled" in text
    assert "tutorial|resources|quiz" in text


def test_a_status_of_neither_kind_is_used_and_named_on_stderr() -> None:
    result = CliRunner().invoke(app, ["--status", "failed", "--status", "partial"])
    assert received.pop() == {"status": ["failed", "partial"]}
    assert (result.exit_code, result.stdout) == (0, "")
    assert "'partial' is not a status of this system (pending," in result.stderr

    assert CliRunner().invoke(app, ["--status", "failed"]).stderr == ""
    assert received.pop() == {"status": ["failed"]}


def test_a_content_type_that_does_not_exist_is_wrong_usage() -> None:
    result = CliRunner().invoke(app, ["--type", "video"])
    assert (result.exit_code, received) == (2, [])
    assert "--type" in result.stderr
    CliRunner().invoke(app, ["--type", "quiz"])
    assert received.pop() == {"content_type": "quiz"}
