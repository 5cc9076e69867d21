"""With `--json`, a command that is refused prints its error as the one JSON document."""

import io
import json
import sys
from enum import Enum
from typing import Any, NoReturn
from unittest.mock import Mock

import pytest
import typer

from local_stack.errors import NoStackError
from roadmap_command import main
from roadmap_command.commands import connect
from roadmap_command.target import Target
from roadmap_content.client.http import HttpAnswer
from roadmap_content.contracts.erasure import ErasureAnswer
from tests.support.factories import bundle_of
from tests.unit.conftest import Roadmap, stand_in

COMMANDS: dict[str, Any] = {
    name: command
    for name, command in typer.main.get_command(main.app).commands.items()  # type: ignore[attr-defined]
    if any("--json" in parameter.opts for parameter in command.params)
}
VALUES = {"item": "c-1/quiz", "bundle": "-", "reason": "an outage"}


def arguments_of(name: str) -> list[str]:
    """The required arguments and options of a command."""
    given = []
    for parameter in COMMANDS[name].params:
        if parameter.required or parameter.name in ("task_id", "user"):
            option = [parameter.opts[0]] if parameter.opts[0].startswith("-") else []
            given += [*option, VALUES.get(parameter.name) or value_for(parameter.type_descriptor.annotation)]
    return given


def value_for(kind: Any) -> str:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return str(next(iter(kind)).value)
    return "1" if kind in (int, float) else "t-1"


class Stdin(io.StringIO):
    """A bundle on stdin."""

    buffer = io.BytesIO()


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, stdin: bytes = b"") -> tuple[bytes, str]:
    written, said = io.BytesIO(), io.StringIO()
    stdout = io.TextIOWrapper(written, "utf-8")
    monkeypatch.setattr(Stdin, "buffer", io.BytesIO(stdin))
    monkeypatch.setattr(sys, "argv", ["roadmap", *arguments])
    monkeypatch.setattr(sys, "stdin", Stdin())
    monkeypatch.setattr(sys, "stdout", stdout)
    monkeypatch.setattr(sys, "stderr", said)
    assert main.run() == 2
    sys.stdout.flush()
    return written.getvalue(), said.getvalue()


@pytest.fixture(autouse=True)
def without_a_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        @staticmethod
        def attach() -> NoReturn:
            raise NoStackError("no local stack is running")

    def named(*_: object) -> NoReturn:
        Nothing.attach()

    monkeypatch.setattr(Target, "named", named)
    monkeypatch.setattr(connect, "local_stack", lambda: Nothing)


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"compare"}))  # it needs no stack
def test_an_error_is_one_json_document_on_stdout(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = arguments_of(name)
    bundle = json.dumps(bundle_of(["a"])).encode()
    expected = "no local stack is running"
    written, said = run(monkeypatch, name, *given, "--json", stdin=bundle)
    assert json.loads(written) == {"error": "NoStack", "message": expected}
    assert expected in said
    assert run(monkeypatch, name, *given, stdin=bundle)[0] == b""


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_option_is_one_json_document_on_stdout(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written, said = run(monkeypatch, name, *arguments_of(name), "--nonsense", "--json")
    document = json.loads(written)
    assert document["error"] == "WrongUsage"
    assert "--nonsense" in document["message"]
    assert "--nonsense" in said


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_nothing_is_erased_without_a_confirmation(option: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    client = Mock()
    client.erase.return_value = ErasureAnswer(dry_run=True, complete=True)
    monkeypatch.setattr(Target, "named", lambda _: Mock(client=lambda: client))
    assert "not erased: confirm" in run(monkeypatch, "erase", "--user", "u", *option)[1]
    client.erase.assert_called_once_with("u", product_rows=False, dry_run=True)


def test_a_register_with_another_key_is_an_error(roadmap: Roadmap) -> None:
    register = {"registered": 2, "of_another_key": 1, "due": []}
    result = roadmap(Mock(send=lambda *_, **__: HttpAnswer(200, register)), "erase", "--replay")
    assert result.exit_code == 1
    assert "1 erasures were registered with another ErasureKey" in result.stderr.replace("\n", " ")


def test_there_are_commands_with_json() -> None:
    assert {"status", "load", "logs", "env", "heal"} <= COMMANDS.keys()


def test_a_refusal_of_the_api_has_its_own_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: each was `ApiRefused`; then each stood there twice."""
    refusal = {"error": "TaskNotFound", "message": "there is no task 't-1'"}
    stand_in(Mock(send=lambda *_, **__: HttpAnswer(404, refusal)), monkeypatch.setattr)
    document = json.loads(run(monkeypatch, "status", "t-1", "--json")[0])
    assert document == {"error": "TaskNotFound", "message": "there is no task 't-1'"}
    assert json.loads(run(monkeypatch, "status", "a/b", "--json")[0])["error"] == "InvalidId"
