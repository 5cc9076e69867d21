"""`docs/integrating.md` and the commands that connect a product, run exactly as printed."""

import json
import os
import re
import subprocess
import sys
import urllib.request
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, make_url, text
from typer.testing import CliRunner

from local_stack.builds import REPOSITORY
from local_stack.for_containers import reachable_at
from local_stack.processes import becomes_true
from local_stack.stack import LocalStack
from roadmap_command.main import app
from roadmap_content.client import Client
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.items import ContentType

DOCUMENT = (REPOSITORY / "docs/integrating.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def roadmap(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the `roadmap` command on the tests' stack; its stdout."""
    monkeypatch.setattr(LocalStack, "attach", lambda *_: stack)

    def run(*arguments: str) -> str:
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


@pytest.fixture
def environment(roadmap: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment after `eval "$(roadmap env)"`."""
    script = (
        f"{roadmap('env')}\nexec {sys.executable} -c 'import json, os; print(json.dumps(dict(os.environ)))'"
    )
    shell = subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True)
    for name, value in json.loads(shell.stdout).items():
        monkeypatch.setenv(name, value)


def test_the_example_of_a_quiz_is_valid() -> None:
    (example,) = blocks("json")
    assert CONTENT_KINDS[ContentType.QUIZ].check(json.loads(example))["quiz_id"] == "quiz-int-1"


@pytest.mark.usefixtures("environment")
def test_the_document_connects_a_product(roadmap: Any, capsys: pytest.CaptureFixture[str]) -> None:
    stage_and_start, ask = blocks("python")
    names: dict[str, Any] = {"token_for": lambda user: roadmap("token", user).strip()}
    exec(stage_and_start, names)  # noqa: S102 - our own document
    names["engine"].dispose()
    client: Client = names["client"]
    assert becomes_true(lambda: client.status("t-int", "u-int").status == "completed", 300)
    exec(ask, names)  # noqa: S102
    assert capsys.readouterr().out.splitlines() == ["tutorial 1 of 1", "resources 1 of 1", "quiz 1 of 1"]
    assert client.start("t-int").endswith("t-int-first")
    assert client.retry("t-int", "u-int").status == "completed"

    (curls,) = (block for block in blocks("console") if "curl" in block)
    commands = [line.removeprefix("$ ") for line in curls.splitlines() if line.startswith("$ curl")]
    token = roadmap("token", "u-int").strip()
    for command in commands:
        answer = subprocess.run(
            ["sh", "-c", command],
            env={**os.environ, "TOKEN": token},
            check=True,
            capture_output=True,
            text=True,
        )
        assert '"status":"completed"' in answer.stdout.replace(" ", "")


def test_a_function_is_invoked_with_its_event(roadmap: Any) -> None:
    assert '"dry_run": false' in roadmap("invoke", "migrate_database")


def test_the_functions_variables_are_printed_for_sam(roadmap: Any, stack: LocalStack) -> None:
    printed = json.loads(roadmap("env", "--json"))
    assert printed == stack.variables()
    assert printed["SaveBatchFunction"]["CONTENT_BUCKET"] == stack.bucket

    for_containers = json.loads(roadmap("env", "--json", "--address", "172.17.0.1"))["SaveBatchFunction"]
    assert for_containers["AWS_ENDPOINT_URL"] == f"http://172.17.0.1:{stack.cloud.port}"
    secret = stack.client("secretsmanager").get_secret_value(SecretId=for_containers["DATABASE_SECRET_ARN"])
    database = json.loads(secret["SecretString"])
    assert (database["host"], database["username"].endswith("_writer")) == ("172.17.0.1", True)


def test_the_stack_is_reachable_at_another_address(stack: LocalStack) -> None:
    other = "127.0.0.2"
    with reachable_at(stack, other):
        url = make_url(stack.database_url).set(host=other)
        with create_engine(url, poolclass=NullPool).connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1
        health = f"http://{other}:{stack.cloud.port}/_ministack/health"
        with urllib.request.urlopen(health) as answer:
            assert answer.status == 200
