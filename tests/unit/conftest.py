"""Fixtures of the tests of commands."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from roadmap_command.main import app
from roadmap_command.target import Target

Roadmap = Callable[..., Result]


@pytest.fixture
def roadmap(monkeypatch: pytest.MonkeyPatch) -> Roadmap:
    """Runs a command with an API in place of a stack's."""

    def run(api: Any, *arguments: str) -> Result:
        monkeypatch.setattr(Target, "named", lambda *_: SimpleNamespace(operator_api=lambda: api))
        return CliRunner().invoke(app, arguments, catch_exceptions=False)

    return run
