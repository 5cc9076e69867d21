"""The help of the commands."""

import pytest
from typer.testing import CliRunner

from roadmap_command.main import app


def help_of(*command: str) -> str:
    return CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "200"}).stdout


def test_a_paragraph_fills_the_width_of_the_terminal() -> None:
    assert "The exit code is then 1. Saved items are not replaced" in help_of("load")


@pytest.mark.parametrize("scope", ["content:operate", "content:view"])
def test_the_scopes_of_a_token_are_listed(scope: str) -> None:
    assert scope in help_of("token")
