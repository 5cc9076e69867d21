"""A failure that `roadmap up --fail` asked for is visible until it ends, and its end is shown."""

from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from local_stack.stack import LocalStack
from roadmap_command.commands import stack
from roadmap_command.main import app
from roadmap_command.target import Target
from roadmap_content.contracts.api.system import Health
from tests.support.openapi import example


class Client:
    @staticmethod
    def health() -> Health:
        return Health.model_validate(example("Health", status="ok", attention=[]))


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """`up` and `doctor` use a stack that is not started."""
    running = SimpleNamespace(
        endpoint_url="http://cloud", database_url="postgresql://host/db", console_link=lambda: "link",
        kept_parameters=dict,
    )  # fmt: skip
    commands = SimpleNamespace(
        fail=lambda text: LocalStack.fail(text, tmp_path), has_data=lambda: False, up=lambda **_: running
    )
    monkeypatch.setattr(stack, "local_stack", lambda: commands)

    def named(_: object) -> Any:
        failures = (tmp_path / "model-failures").read_text()
        return SimpleNamespace(client=lambda **_: Client(), model_failures=failures)

    monkeypatch.setattr(Target, "named", named)


@pytest.mark.usefixtures("failures")
def test_a_failing_model_is_shown_by_up_and_doctor_until_up_ends_it() -> None:
    def output(*words: str) -> str:
        return " ".join(CliRunner().invoke(app, words, catch_exceptions=False).output.split())

    shown = "The offline model fails as --fail asked: refuse 10 %."
    assert shown in output("up", "--fail", "refuse 10 %")
    assert shown in output("doctor")
    assert "The offline model works again; until now: refuse 10 %." in output("up")
    for words in ("up", "doctor"):
        assert "offline model" not in output(words)
