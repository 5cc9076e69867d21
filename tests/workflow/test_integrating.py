"""`docs/integrating.md` and the commands that connect a product, run exactly as printed."""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from local_stack.builds import REPOSITORY
from local_stack.database_roles import drop_roles
from local_stack.given_database import AdoptedDatabase
from local_stack.postgres_server import Server, has_database
from local_stack.stack import LocalStack
from roadmap_command.demo import SAMPLE
from roadmap_command.load import load_bundle
from roadmap_command.main import app
from roadmap_command.runs import follow_run, start_run
from roadmap_command.target import Target
from roadmap_content import Client
from roadmap_content.content.bundle import parse_bundle
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.deadline import Deadline
from tests.support.databases import copied_database
from tests.support.product_models import read_as_the_product
from tests.support.product_schema import FORMS

TASK = parse_bundle(SAMPLE.read_bytes()).task.task_id
DOCUMENT = (REPOSITORY / "docs/integrating.md").read_text()
ADOPTING = (REPOSITORY / "docs/adopting.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)


def command(*arguments: str) -> str:
    """Run the `roadmap` command; its stdout."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def roadmap(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Runs the `roadmap` command on the tests' stack; its stdout."""
    monkeypatch.setattr(LocalStack, "attach", lambda *_: stack)
    return command


@pytest.fixture
def own_stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The `roadmap` command works in an empty directory. Its stack is stopped after the test."""
    with tempfile.TemporaryDirectory(prefix="roadmap-stack-") as name:
        directory = Path(name)
        up, attach, down, has_data = LocalStack.up, LocalStack.attach, LocalStack.down, LocalStack.has_data
        monkeypatch.setattr(LocalStack, "up", lambda **options: up(directory, **options))
        monkeypatch.setattr(LocalStack, "attach", lambda *_: attach(directory))
        monkeypatch.setattr(LocalStack, "down", lambda *_, **options: down(directory, **options))
        monkeypatch.setattr(LocalStack, "has_data", lambda: has_data(directory))
        local, targets = Target.local, ExitStack()

        def kept_local(stack: LocalStack) -> Target:
            target = local(stack)
            targets.callback(target.engine.dispose)
            return target

        monkeypatch.setattr(Target, "local", kept_local)
        with targets:
            yield
        down(directory, forget=True)


def enter_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the variables that `eval "$(roadmap env)"` sets."""
    dump = "import json, os; print(json.dumps(dict(os.environ)))"
    script = f"{command('env')}\nexec {sys.executable} -c '{dump}'"
    shell = subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True)
    for name, value in json.loads(shell.stdout).items():
        monkeypatch.setenv(name, value)


def test_the_examples_of_a_quiz_and_of_a_bundle_are_valid() -> None:
    quiz, bundle = blocks("json")
    assert CONTENT_KINDS[ContentType.QUIZ].check(json.loads(quiz))["quiz_id"] == "quiz-int-1"
    assert list(parse_bundle(bundle.encode()).content) == [Item("c-1", ContentType.RESOURCES)]


def test_the_errors_of_the_client_are_those_of_the_document() -> None:
    listed = set(re.findall(r"^\| `(\w+Error)` \|", DOCUMENT, re.MULTILINE))
    methods = [
        method for name, method in vars(Client).items() if callable(method) and not name.startswith("_")
    ]
    raised = (set(re.findall(r"(\w+Error): ", method.__doc__ or "")) for method in methods)
    assert listed == set().union(*raised)


@pytest.fixture(params=["empty", "create_all"])
def database_options(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, ...]]:
    """The options of `roadmap up` for an empty database, or for the product's own."""
    if request.param == "empty":
        yield ()
        return
    server: Server = request.getfixturevalue("database_server")
    with copied_database(server.url) as (name, url):
        engine = create_engine(url)
        with engine.begin() as connection:
            connection.exec_driver_sql(FORMS[request.param])
        engine.dispose()
        monkeypatch.setenv("DATABASE_URL", url)
        (printed,) = re.findall(r" roadmap up (--adopt .*?)\n\$", ADOPTING, re.DOTALL)
        yield *shlex.split(printed.replace("\\\n", "")), "--yes"
        assert has_database(server.url, name), "`roadmap down` does not change it"
    drop_roles(server.url, AdoptedDatabase(url).role_prefix)


def test_the_document_connects_a_product(
    database_options: tuple[str, ...],
    own_stack: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    stage_and_start, follow, ask, _generator, make_queue, receive = blocks("python")
    command("up", "--events", *database_options)
    enter_environment(monkeypatch)
    # The command of the sample, in this process, which knows the test's stack.
    monkeypatch.setattr(subprocess, "check_output", lambda words, **_: command(*words[1:]))
    names: dict[str, Any] = {}
    for part in (make_queue, stage_and_start):
        exec(part, names)  # noqa: S102 - our own document
    exec(follow, names)  # noqa: S102
    ready = capsys.readouterr().out.splitlines()
    assert "quiz is ready: questions, quiz_id, total_questions" in ready
    assert sorted(ready) == sorted(
        f"{content_type} is ready: {', '.join(sorted(kind.content.model_fields))}"
        for content_type, kind in CONTENT_KINDS.items()
    )
    exec(ask, names)  # noqa: S102
    assert capsys.readouterr().out.splitlines() == [f"{each} 1 of 1" for each in ContentType]
    client: Client = names["client"]
    assert names["status"].status == "completed"
    assert client.start("t-int").endswith("t-int-first")
    assert client.preview_retry("t-int", "u-int").total_items == 0
    assert client.retry("t-int", "u-int").status == "completed"

    quiz, bundle = blocks("json")
    item = ("t-int", "u-int", "c-1", "quiz")
    saved = client.item(*item).saved
    assert saved is not None
    client.stage("r-int", "c-1", "quiz", json.loads(quiz), replaces=saved.id)
    client.retry("t-int", "u-int", concept_id="c-1", content_type="quiz", regenerate=True)
    assert list(client.changes("t-int", "u-int"))
    assert client.content(*item).content["questions"] == json.loads(quiz)["questions"]
    (tmp_path / "bundle.json").write_text(bundle)
    for file, task_id in ((tmp_path / "bundle.json", "t-bundle"), (SAMPLE, TASK)):
        command("load", str(file))
        assert CliRunner().invoke(app, ("run", task_id)).exit_code == 0
    assert read_as_the_product(names["engine"]) == []

    names["engine"].dispose()
    exec(receive, names)  # noqa: S102
    kinds = [line.split(" {")[0] for line in capsys.readouterr().out.splitlines()]
    assert (kinds[0], kinds[-1]) == ("Attempt Started", "Task Finalized")
    assert set(kinds) == {
        "Attempt Started",
        "Batch Saved",
        "Task Finalized",
    }

    (curls,) = (block for block in blocks("console") if "curl" in block)
    commands = [line.removeprefix("$ ") for line in curls.splitlines() if line.startswith("$ curl")]
    token = command("token", "u-int").strip()
    for curl in commands:
        answer = subprocess.run(
            ["sh", "-c", curl],
            env={**os.environ, "TOKEN": token},
            check=True,
            capture_output=True,
            text=True,
        )
        assert '"status":"completed"' in answer.stdout.replace(" ", "")


def test_a_function_is_invoked_with_its_event(roadmap: Callable[..., str]) -> None:
    assert '"dry_run": false' in roadmap("invoke", "migrate_database")


def test_the_functions_variables_are_printed_for_sam(roadmap: Callable[..., str], stack: LocalStack) -> None:
    printed = json.loads(roadmap("env", "--json"))
    assert printed == stack.variables()
    assert printed["SaveBatchFunction"]["CONTENT_BUCKET"] == stack.bucket

    for_containers = json.loads(roadmap("env", "--json", "--address", "172.17.0.1"))["SaveBatchFunction"]
    assert for_containers["AWS_ENDPOINT_URL"] == f"http://172.17.0.1:{stack.cloud.port}"
    secret = stack.client("secretsmanager").get_secret_value(SecretId=for_containers["DATABASE_SECRET_ARN"])
    database = json.loads(secret["SecretString"])
    assert (database["host"], database["username"].endswith("_writer")) == ("172.17.0.1", True)


INTERRUPTED = text("""
UPDATE roadmap_tasks SET status = 'processing', completed_at = NULL, execution_arn = execution_arn || '-gone',
    updated_at = updated_at - interval '2 minutes'
""")
"""A run of two minutes ago. Its execution ended with its stack."""


@pytest.mark.usefixtures("own_stack")
def test_the_next_stack_records_a_run_that_ended_with_the_last() -> None:
    command("up")
    target = Target.local(LocalStack.attach())
    load_bundle(parse_bundle(SAMPLE.read_bytes()), target.engine, target.bucket, Deadline.after(60))
    follow_run(
        target.stepfunctions, start_run(target.stepfunctions, target.state_machine_arn, TASK), lambda: None
    )
    with target.engine.begin() as connection:
        connection.execute(INTERRUPTED)
    target.engine.dispose()
    command("down")
    result = CliRunner().invoke(app, ("up",), catch_exceptions=False)
    assert f"Task {TASK}, whose run ended with the last stack, is complete." in result.stderr
