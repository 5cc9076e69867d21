"""Shared parts of all commands: options, exit codes and output."""

import json
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from enum import IntEnum
from typing import Annotated, Any, NoReturn

import typer
from pydantic import BaseModel
from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text
from sqlalchemy.exc import SQLAlchemyError

from local_stack.errors import LocalServiceError, RefusedError
from roadmap_command import views
from roadmap_command.runs import follow_run
from roadmap_command.target import Target
from roadmap_command.terminal import Terminal, escaped
from roadmap_content.client.http import ApiRefusedError, ApiUnavailableError, DatabaseHangsError
from roadmap_content.contracts.api.tasks import TaskStatus
from roadmap_content.contracts.errors import ContentError, TransientError
from roadmap_content.contracts.payloads import TASK_ID


class ExitCode(IntEnum):
    """The exit codes of every command."""

    COMPLETE = 0
    ITEMS_MISSING = 1
    REFUSED = 2
    """The command was refused or used incorrectly. Typer also uses this code for invalid options."""

    EXTERNAL_FAILURE = 3
    """An external system (AWS, PostgreSQL, the network, the disk) failed."""

    INTERRUPTED = 130


UNREACHABLE = "docs/runbook.md#databaseerrorsalarm"
"""The section for a database that does not answer."""

_UNLIMITED = 100_000
"""Maximum characters of a line of piped output."""

POLL_SECONDS = 1.0

errors = Terminal(stderr=True)
"""The console for progress, hints and errors, because stdout is for results."""


_STACK = "ROADMAP_STACK"
"""The variable that names a stack on AWS."""


def _named(stack: str | None) -> str | None:
    if stack is not None and not stack.strip():
        raise typer.BadParameter("it has no name: without --stack, the local stack is used")
    return stack


def named_user(user: str | None) -> str | None:
    """The user of a token. Raises RefusedError: the id is empty."""
    if user is not None and not user.strip():
        raise RefusedError("a token needs a user, whose id is not empty")
    return user


Stack = Annotated[
    str | None,
    typer.Option(
        "--stack",
        envvar=_STACK,
        callback=_named,
        help="A stack on AWS. Default: the local stack.",
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Rows to show.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]


class InvalidIdError(RefusedError, code="InvalidId"):
    """The id of a task, recovery or failure group has a character that no id has."""


def _checked_id(given: str | None) -> str | None:
    """An id as the API accepts it. Another one may be another path of the API."""
    if given is not None and re.fullmatch(TASK_ID, given) is None:
        raise InvalidIdError(f"{given[:80]!r} is not an id: an id has 1 to 64 letters, digits, - and _")
    return given


TaskId = Annotated[str, typer.Argument(metavar="TASK_ID", help="The task.", callback=_checked_id)]
OptionalTaskId = Annotated[
    str | None, typer.Argument(metavar="[TASK_ID]", help="The task.", callback=_checked_id)
]
GroupId = Annotated[
    str | None,
    typer.Argument(metavar="[GROUP_ID]", help="One group, with its history.", callback=_checked_id),
]
OptionalRecoveryId = Annotated[
    str | None,
    typer.Argument(metavar="[RECOVERY_ID]", help="One recovery, with its tasks.", callback=_checked_id),
]


def _recovery(purpose: str) -> Any:  # noqa: ANN401 - an option of Typer
    return typer.Option("--recovery", metavar="RECOVERY_ID", help=purpose, callback=_checked_id)


Recovery = Annotated[str, _recovery("The recovery.")]
OptionalRecovery = Annotated[str | None, _recovery("A recovery instead of a task.")]
Reason = Annotated[str, typer.Option("--reason", help="The reason, for the audit trail.")]


def finish(target: Target, task_id: str, execution_arn: str | None, *, as_json: bool) -> None:
    """Follow an execution to its end, print the task's status, and exit 1 if items are missing."""
    with continues_without_us("The run", f"status {task_id}"):
        final = follow(target, task_id, execution_arn)
        if final.status == "processing" and final.execution_arn not in (None, execution_arn):
            errors.print(f"Attempt {final.attempt} of another run is running for the task; following it.")
            final = follow(target, task_id, final.execution_arn or "")
    report(final, as_json=as_json)
    if final.status != "completed":
        raise typer.Exit(ExitCode.ITEMS_MISSING)


@contextmanager
def continues_without_us(work: str, command: str) -> Iterator[None]:
    """If work can no longer be followed, print that it continues, and with which command to see it."""
    hint = f"{work} continues without this command: {command_name()} {command}"
    try:
        with if_interrupted(hint):
            yield
    except ContentError:
        errors.print(hint)
        raise


@contextmanager
def if_interrupted(hint: str) -> Iterator[None]:
    """If a person interrupts the command, print the state so far and the next step."""
    try:
        yield
    except KeyboardInterrupt:
        errors.print(hint)
        raise


@contextmanager
def may_start(task_id: str) -> Iterator[None]:
    """The request that starts an attempt: if it is interrupted, its result is not known here."""
    with if_interrupted(f"An attempt may have been started; see: {command_name()} status {task_id}"):
        yield


def follow(target: Target, task_id: str, execution_arn: str | None) -> TaskStatus:
    """Show an execution's progress until its end; return the task's status. `None`: the attempt waits."""
    client = target.client()
    with views.bars(errors) as bars:
        while execution_arn is None:
            task = client.status(task_id)
            bars.show(task)
            if task.status != "processing":
                return task
            if (execution_arn := task.execution_arn) is None:
                time.sleep(POLL_SECONDS)
        follow_run(target.stepfunctions, execution_arn, lambda: bars.show(client.status(task_id)))
    return client.status(task_id)


def report(task: TaskStatus, *, as_json: bool) -> None:
    """Print a task's status."""
    print_answer(task, views.outcome(task), as_json=as_json)


@contextmanager
def bar(name: str, total: int | None = None) -> Iterator[Callable[..., None]]:
    """Show a bar of items, on stderr, for the duration of the block. It advances with each call of what is
    yielded; `total` may be given there, too.
    """
    columns = (TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task(name, total=total)

        def advance(total: int | None = total) -> None:
            progress.update(task, total=total, advance=1)

        yield advance


def output() -> Terminal:
    """The console for results on stdout. Piped output is not wrapped, so that no id or ARN is split."""
    return Terminal(width=None if sys.stdout.isatty() else _UNLIMITED)


def print_table(table: Table) -> None:
    """Print a table as a result: aligned, in blocks where it is too wide, or for another program."""
    console = output()
    console.print(views.fitted(table, console))


def print_answer(answer: object, *shown: RenderableType, as_json: bool) -> None:
    """Print an answer of the API: as JSON, or as a person reads it."""
    if as_json:
        print_json(answer)
        return
    for part in shown:
        if isinstance(part, Table):
            print_table(part)
        else:
            output().print(part)


def confirmed(question: str) -> bool:
    """Ask a person a question, on stderr. Where nobody can be asked, the answer is no.

    Raises:
        KeyboardInterrupt: Ctrl-C or Ctrl-D instead of an answer.
    """
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        if not sys.stdin.isatty():
            return False
        raise KeyboardInterrupt from None


def command_name() -> str:
    """The command for hints, as the user entered it: with its path, if any."""
    is_path = "/" in sys.argv[0] and shutil.which("roadmap") is None
    return shlex.quote(sys.argv[0]) if is_path else "roadmap"


def print_json(document: object) -> None:
    """Print one JSON document to stdout; answers of the API inside it as the API sent them. Characters that
    the encoding may lack, or that control a terminal, are escaped as JSON.
    """
    ensure_ascii = sys.stdout.encoding.lower() not in ("utf-8", "utf8")
    text = json.dumps(document, ensure_ascii=ensure_ascii, indent=2, default=_as_json)
    sys.stdout.write(escaped(text) + "\n")


def _as_json(answer: BaseModel) -> object:
    return answer.model_dump(mode="json")


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Print a known error in one line and exit with its code. An unknown error keeps its traceback.

    With `--json`, the error is also the one document on stdout.
    """
    try:
        yield
    except SystemExit as exited:
        # Typer exits while it handles its exception of a wrong option or argument, which it has printed.
        if exited.code == ExitCode.REFUSED and exited.__context__ is not None:
            _print_json_error("WrongUsage", str(exited.__context__))
        raise
    except ApiRefusedError as error:
        message = str(error).removeprefix(f"{error.status} {error.error}: ")
        command = _LISTS.get(error.error)
        refused_hint = f"; list them with: {command_name()} {command}" if command else ""
        _fail(error.error, message, ExitCode.REFUSED, _UNAUTHORIZED if error.status == 401 else refused_hint)
    except DatabaseHangsError as error:
        is_on_aws = os.environ.get(_STACK) or any(each.partition("=")[0] == "--stack" for each in sys.argv)
        place = "aws rds describe-db-clusters" if is_on_aws else "the database's log"
        first = f"First look at: {place}; see {UNREACHABLE}"
        sentence = str(error).removeprefix(f"503 {error.code}: ")
        _fail(error.code, f"{sentence} {first}", ExitCode.EXTERNAL_FAILURE)
    except ApiUnavailableError as error:
        status, _, refusal = str(error).partition(" ")
        name, has_name, message = refusal.partition(": ")
        is_named = status.isdecimal() and has_name
        _fail(name if is_named else error.code, message if is_named else error, ExitCode.EXTERNAL_FAILURE)
    except ContentError as error:
        external = isinstance(error, TransientError | LocalServiceError)
        _fail(error.code, error, ExitCode.EXTERNAL_FAILURE if external else ExitCode.REFUSED)
    except SQLAlchemyError as error:
        _fail("PostgreSQL", _message_of(error), ExitCode.EXTERNAL_FAILURE)
    except OSError as error:
        _fail(type(error).__name__, error, ExitCode.EXTERNAL_FAILURE)
    except Exception as error:
        if not type(error).__module__.startswith("botocore."):
            raise
        answer = getattr(error, "response", {})
        code = answer.get("Error", {}).get("Code", type(error).__name__)
        if hint := _NOT_CONFIGURED.get(code):
            _fail("AWS", f"{str(error).rstrip('.')}. {hint}", ExitCode.REFUSED)
        _fail("AWS", error, ExitCode.EXTERNAL_FAILURE)


def _message_of(error: SQLAlchemyError) -> object:
    """The message of PostgreSQL's error. pg8000 returns the fields of the protocol; "M" is the message."""
    original = getattr(error, "orig", None) or error
    match original.args:
        case [{"M": message}, *_]:
            return message
        case _:
            return original


_LISTS = {"TaskNotFound": "tasks", "RecoveryNotFound": "recoveries", "FailureGroupNotFound": "failures"}
"""The commands that list what an id may name, by the API's error."""

_CREDENTIALS = "Set AWS_PROFILE, or sign in with: aws configure"
_EXPIRED = "Sign in again, for instance with: aws sso login"
_UNAUTHORIZED = "; set a new ROADMAP_TOKEN"
_NOT_CONFIGURED = {
    "NoRegionError": "Set AWS_DEFAULT_REGION.",
    "NoCredentialsError": _CREDENTIALS,
    "PartialCredentialsError": _CREDENTIALS,
    "ProfileNotFound": _CREDENTIALS,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "InvalidClientTokenId": _CREDENTIALS,
    "UnrecognizedClientException": _CREDENTIALS,
}
"""Hints for errors of botocore about the user's settings, by AWS's code or, for errors of botocore's own, by
class name, because importing it is slow.
"""


def _fail(name: str, error: object, code: ExitCode, hint: str = "") -> NoReturn:
    """Print an error, for a person with a hint, and exit."""
    first_line = str(error).strip().split("\n", 1)[0]
    with suppress(OSError):  # where nothing can be written, the exit code remains
        errors.print(Text.assemble((name, "red"), f": {first_line}{hint}"))
        _print_json_error(name, first_line)
    sys.exit(code)


def _print_json_error(name: str, message: str) -> None:
    if "--json" in sys.argv[1:]:
        print_json({"error": name, "message": message})
