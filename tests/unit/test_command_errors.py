"""An external failure is one line on stderr, with its exit code. A defect keeps its traceback."""

import base64
import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest.mock import Mock

import boto3
import pytest
import typer
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError, NoRegionError
from sqlalchemy.exc import InterfaceError
from typer.testing import CliRunner

from local_stack import stack
from local_stack.cloud import Cloud
from local_stack.errors import NoStackError, RefusedError, StackEndedError
from local_stack.given_database import AdoptedDatabase, given_server
from local_stack.postgres_server import ServerError
from local_stack.stack import LocalStack
from roadmap_command import interface, target, terminal
from roadmap_command.commands import content, operate, runs
from roadmap_command.commands.history import parse_item
from roadmap_command.commands.stack import parameters_from
from roadmap_command.interface import InvalidIdError, errors_in_one_line
from roadmap_command.main import FURTHER, PANELS, app, run
from roadmap_command.target import Target
from roadmap_content.client import http as client_http
from roadmap_content.client.client import Client
from roadmap_content.client.http import ApiUnavailableError, HttpAnswer
from roadmap_content.content.bundle import parse_bundle
from roadmap_content.contracts.api.tasks import RetryPreview, TaskDetail
from roadmap_content.contracts.errors import DatabaseUnavailableError, MissingSettingError
from roadmap_content.contracts.items import ContentType, Item
from tests.support.factories import bundle_of
from tests.support.openapi import example


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (RefusedError("409: an attempt is running"), 2, "an attempt is running"),
        (DatabaseUnavailableError("no answer"), 3, "no answer"),
        (ApiUnavailableError("503 DatabaseUnavailable: no answer"), 3, "^DatabaseUnavailable: no answer"),
        (ApiUnavailableError("GET /health: refused: by a proxy"), 3, "^ApiUnavailable: GET /health: refused"),
        (StackEndedError("PostgreSQL has ended"), 3, "PostgreSQL has ended"),
        (ServerError("initdb: no space left\nsecond line"), 3, "no space left"),
        (InterfaceError("SELECT 1", {}, OSError("refused\nBackground")), 3, "refused"),
        (OSError(28, "No space left on device", "/data"), 3, "No space left on device: '/data'"),
        (client_http.ApiRefusedError(401, "HttpError", "Unauthorized"), 2, "set a new ROADMAP_TOKEN"),
        (
            ClientError({"Error": {"Code": "ExpiredToken", "Message": "is expired"}}, "DescribeStacks"),
            2,
            "is expired. Sign in again",
        ),
        (NoRegionError(), 2, "You must specify a region. Set AWS_DEFAULT_REGION."),
        (NoCredentialsError(), 2, "Unable to locate credentials. Set AWS_PROFILE, or sign in with: aws"),
        (EndpointConnectionError(endpoint_url="https://states"), 3, "https://states"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_an_error_is_one_line_and_a_code(
    error: Exception, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_, errors_in_one_line():
        raise error
    assert exit_.value.code == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(words[1:]) if words.startswith("^") else words in line


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("nonsense", "is not a URL"),
        ("postgresql://user:password@127.0.0.1:port/roadmap", "is not a URL"),
        ("mysql://user:password@127.0.0.1/roadmap", "is not a URL of PostgreSQL"),
        ("postgresql://db.example.com/roadmap", "names no user"),
        ("postgresql:///roadmap", "names no host"),
    ],
)
def test_a_database_url_that_cannot_be_used_is_wrong_usage(
    url: str, fault: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SystemExit) as exit_, errors_in_one_line():
        given_server()
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert fault in line
    assert "postgresql://USER:PASSWORD@HOST:PORT/DATABASE" in line


def test_a_database_that_cannot_be_reached_is_not_adopted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Otherwise a stack was started and deployed before anybody noticed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("DATABASE_URL", f"postgresql://user:password@127.0.0.1:{port}/copy")
    with pytest.raises(SystemExit) as exit_, errors_in_one_line():
        AdoptedDatabase.given()
    assert exit_.value.code == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert f"host 127.0.0.1 and port {port}" in line


@pytest.mark.parametrize(
    ("options", "missing"), [(["--yes"], "--time-zone"), (["--time-zone", "UTC"], "--yes")]
)
def test_a_database_is_adopted_with_its_time_zone_and_a_confirmation(
    options: list[str], missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stacks = Mock()
    monkeypatch.setattr("roadmap_command.commands.stack.local_stack", lambda: stacks)
    database = AdoptedDatabase("postgresql://product:secret@db:5433/copy")
    monkeypatch.setattr(AdoptedDatabase, "given", lambda: database)
    result = CliRunner().invoke(app, ["up", "--adopt", *options])
    assert isinstance(result.exception, RefusedError)
    assert missing in str(result.exception)
    assert ("copy on db:5433" in result.stderr) is (missing == "--yes")
    assert "secret" not in result.stderr
    stacks.up.assert_not_called()


def test_a_command_without_a_stack_names_the_one_of_another_installation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clone and an installed package have a stack each, and did not know of the other's."""
    clone, installed = tmp_path / "clone", tmp_path / "installed"
    clone.mkdir()
    monkeypatch.setattr(stack, "LAST_STACK", tmp_path / "last-stack")
    monkeypatch.setattr(stack, "LOCAL", clone)
    LocalStack(clone, AdoptedDatabase("postgresql://"), Cloud(clone / "cloud"), {}, {}, "secret").record()
    used_by = re.escape(f"in {installed} (the one in {clone} is used by {sys.prefix}/bin/roadmap)")
    with pytest.raises(NoStackError, match=used_by):
        LocalStack.attach(installed)
    LocalStack.down(clone)
    with pytest.raises(NoStackError, match=re.escape(f"in {installed}; start one")):
        LocalStack.attach(installed)


@pytest.mark.parametrize("record", ["", '{"outputs": {"Cont', "[]", "{}", "\x00"])
def test_a_damaged_record_of_the_stack_is_named_and_does_not_prevent_down(
    record: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack, "LAST_STACK", tmp_path / "last-stack")
    file = tmp_path / "stack.json"
    file.write_text(record)
    with pytest.raises(StackEndedError, match=f"{re.escape(str(file))} cannot be read.*roadmap up"):
        LocalStack.attach(tmp_path)
    assert not LocalStack.down(tmp_path)  # no part of it runs
    assert not file.exists()


@pytest.mark.parametrize("command", [("token", ""), ("mcp", "--user", " ")], ids="-".join)
def test_a_token_needs_a_user(command: tuple[str, ...]) -> None:
    """Regression: `mcp --user ''` was accepted."""
    with pytest.raises(RefusedError, match="needs a user"):
        CliRunner().invoke(app, command, catch_exceptions=False)


@pytest.mark.parametrize(("free", "is_created", "needs"), [(20, True, 100), (300, False, 500)])
def test_a_full_disk_is_named_before_anything_is_built(
    free: int,
    is_created: bool,
    needs: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Regression: a stack whose packages were there needed the space for them again."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free << 20))
    monkeypatch.setattr("local_stack.stack.is_created", lambda _: is_created)
    with pytest.raises(SystemExit) as exit_, errors_in_one_line():
        LocalStack.up(tmp_path)
    assert exit_.value.code == 3
    assert f"{free} MB are free in {tmp_path}; a stack needs {needs}\n" in capsys.readouterr().err


def test_a_parameter_that_the_template_lacks_is_refused_before_anything_is_built(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as exit_, errors_in_one_line():
        parameters_from(["JwtIssuer=none", "JwtIsuer=https://a=b"])
    assert exit_.value.code == 2
    assert "no parameter JwtIsuer" in capsys.readouterr().err
    assert parameters_from(["JwtIssuer=none", "JwtJwksUrl=https://a=b"]) == {
        "JwtIssuer": "none",
        "JwtJwksUrl": "https://a=b",
    }


@pytest.mark.parametrize("body", [b"", b"{", b"null", b"[1]", b"\xff\xfe\x00", b"[" * 100_000, b"9" * 6_000])
def test_a_file_that_is_no_bundle_is_named(body: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_, errors_in_one_line():
        parse_bundle(body, name="my.json")
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("InvalidBundle: my.json is not ")


OF_AN_ID = "status run retry redrive cancel watch show logs failures recoveries"


@pytest.mark.parametrize("given", ["a/b", "../..", "a b", "?x", "", "x" * 65])
def test_an_id_that_would_be_another_path_of_the_api_is_refused(given: str) -> None:
    for command in (OF_AN_ID if given == "a/b" else "status").split():
        with pytest.raises(InvalidIdError, match="is not an id"):
            CliRunner().invoke(app, [command, given], catch_exceptions=False)
    for command in ("pause", "resume", "cancel", "undo"):
        with pytest.raises(InvalidIdError, match="is not an id"):
            CliRunner().invoke(app, [command, "--recovery", given], catch_exceptions=False)


def test_an_invalid_bundle_is_refused_with_the_place_of_an_example(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as exit_, errors_in_one_line():
        CliRunner().invoke(app, ["load", "-"], input="{}", catch_exceptions=False)
    assert exit_.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "InvalidBundle: roadmap: Field required (and 2 more); docs/integrating.md has an example"


MAYBE = "may have been started; see: roadmap status t-1"
CONTINUES = "continues without this command: roadmap status t-1"


@pytest.mark.parametrize(
    ("module", "function", "command", "words"),
    [
        (Client, "status", ["status", "t-1"], "continues; follow it with: roadmap watch t-1"),
        (Client, "status", ["run", "t-1"], "No run was started"),
        (runs, "start_run", ["run", "t-1"], MAYBE),
        (interface, "follow", ["run", "t-1"], CONTINUES),
        (Client, "retry", ["retry", "t-1"], MAYBE),
        (runs, "redrive_run", ["redrive", "t-1"], MAYBE),
        (content, "load_bundle", ["load", "-"], "loading the bundle again continues"),
        (operate, "watched", ["watch", "t-1"], CONTINUES),
    ],
)
def test_ctrl_c_says_what_goes_on(
    module: object, function: str, command: list[str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    client = Client(api_url="", token=str, user_id="operator")
    target = SimpleNamespace(
        stepfunctions=None, state_machine_arn="", engine=None, bucket=None, client=lambda: client
    )
    task = TaskDetail.model_validate(example("TaskDetail"))
    preview = RetryPreview.model_validate(example("RetryPreview"))
    monkeypatch.setattr(sys, "argv", ["roadmap"])
    monkeypatch.setattr(Target, "named", lambda *_: target)
    monkeypatch.setattr(Client, "status", lambda *_: task)
    monkeypatch.setattr(runs, "is_running", lambda *_: False)
    monkeypatch.setattr(Client, "preview_retry", lambda *_, **__: preview)
    monkeypatch.setattr(runs, "start_run", lambda *_: "an ARN")
    monkeypatch.setattr(module, function, interrupt)
    ended = CliRunner().invoke(app, command, input=json.dumps(bundle_of(["a"])))
    assert ended.exit_code == 130
    assert words in ended.stderr


@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_an_output_that_cannot_be_written_is_no_defect(redirection: str) -> None:
    """Regression: a traceback, and the exit code that means missing items."""
    for options in ("--version", "findings --json tools/roadmap_command/sample/roadmap.json"):
        program = "from roadmap_command.entry import main; main()"
        command = f"exec {sys.executable} -c '{program}' {options} {redirection}"
        done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, text=True)
        assert "Traceback" not in done.stderr
        assert done.returncode == (3 if "full" in redirection else 0)


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("status t-1 --stack ''", "has no name"),
        ("reconcile --accept-loss ' '", "needs a reason"),
        ("recoveries --result refused", "needs a RECOVERY_ID"),
        ("doctor --product-migration pyproject.toml --database nonsense", "is not a URL"),
    ],
)
def test_what_a_variable_that_is_not_set_leaves_is_refused(
    command: str, fault: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["roadmap", *shlex.split(command)])
    assert run() == 2
    assert fault in capsys.readouterr().err


def test_an_id_that_is_not_found_leads_to_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit), errors_in_one_line():
        raise client_http.ApiRefusedError(404, "TaskNotFound", "there is no task 'nosuch'")
    assert re.search(r"no task 'nosuch'; list them with: \S+ tasks$", capsys.readouterr().err)


def test_a_defect_keeps_its_traceback() -> None:
    with pytest.raises(KeyError), errors_in_one_line():
        raise KeyError("defect")


def test_a_request_without_an_answer_is_announced(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Regression: while the database did not answer, `status` was silent for 59 seconds."""
    printed = threading.Event()
    monkeypatch.setattr(terminal, "SLOW_SECONDS", 0.01)
    monkeypatch.setattr(terminal, "announced", threading.Event())
    printing = terminal.Terminal.print

    def print_and_tell(console: Any, *given: Any, **how: Any) -> None:
        printing(console, *given, **how)
        printed.set()

    def answer_late(*_: object) -> HttpAnswer:
        assert printed.wait(30)
        return HttpAnswer(200, example("Identity"))

    monkeypatch.setattr(terminal.Terminal, "print", print_and_tell)
    monkeypatch.setattr(client_http, "send", answer_late)
    stack: Any = SimpleNamespace(api_url="http://api", operator_token=str)
    Target.client(stack).me()
    Target.client(stack).me()  # is announced no more
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("No answer to GET /me for ")
    assert line.endswith("What is wrong: roadmap doctor"), "which has an answer within five seconds"


def test_a_function_that_the_stack_does_not_have_is_a_refusal() -> None:
    """Regression: `roadmap invoke check_links` on a local stack ended in a traceback."""
    with pytest.raises(RefusedError, match="has no CheckLinksFunction"):
        target.invoke_function(boto3.client("lambda", "us-east-1"), {}, "CheckLinksFunction", {})


def test_help_lists_few_commands_by_purpose_and_names_the_others() -> None:
    listed = [name for names in PANELS.values() for name in names]
    commands = typer.main.get_command(app)
    shown = {name for name, command in commands.commands.items() if not command.hidden}  # type: ignore[attr-defined]
    assert len(shown) <= 28
    assert set(listed) <= shown
    said = CliRunner().invoke(app, ["--help"]).output
    assert all(re.search(rf"\b{name}\b", said) for name in (*shown, *FURTHER))


def test_no_help_shows_a_type_of_a_flag(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (["--help"], ["doctor", "--help"]):
        monkeypatch.setattr(sys, "argv", ["roadmap", *arguments])
        assert run() == 0
        said = capsys.readouterr().out
        assert "--help" in said
        assert "bool" not in said


def test_an_option_of_a_command_before_it_is_told_its_place() -> None:
    result = CliRunner().invoke(app, ["--stack", "roadmap-content-prod", "doctor"])
    assert (result.exit_code, "stands after the command" in result.output) == (2, True)


def test_what_is_no_id_of_a_group_is_told_where_they_are() -> None:
    with pytest.raises(InvalidIdError, match=r"'nosuch' is no id of a group; .* failures"):
        CliRunner().invoke(app, ["failures", "nosuch"], catch_exceptions=False)


def test_a_token_that_has_expired_is_named_before_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    for seconds, expired in ((-60, True), (60, False)):
        claims = json.dumps({"sub": "u-1", "exp": int(time.time()) + seconds}).encode()
        monkeypatch.setenv("ROADMAP_TOKEN", f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.x")
        with pytest.raises(MissingSettingError, match="expired at 20") if expired else nullcontext():
            target.token_of_the_environment("u-1")
    monkeypatch.setenv("ROADMAP_TOKEN", "opaque")
    assert target.token_of_the_environment("u-1") == "opaque"


def test_an_item_is_written_in_one_form() -> None:
    assert parse_item("a/b:c-1/quiz") == Item("a/b:c-1", ContentType.QUIZ)
    for wrong in ("quiz/c-1", "c-1", "/quiz", "c-1/quizzes", ""):
        with pytest.raises(RefusedError, match="for example c-1/quiz"):
            parse_item(wrong)
