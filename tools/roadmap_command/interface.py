"""What all commands share: their options, their exit codes, and how they print."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from roadmap_command import views
from roadmap_command.runs import follow_run, task_status
from roadmap_command.target import Target
from roadmap_content.api.status import TaskStatus
from roadmap_content.errors import ContentError, TransientError


class ExitCode(IntEnum):
    """The exit codes of every command."""

    COMPLETE = 0
    ITEMS_MISSING = 1
    REFUSED = 2
    """The command was refused, or used wrongly. (Also the code of a wrong option, which typer reports.)"""

    EXTERNAL_FAILURE = 3
    """An external system (AWS, PostgreSQL, the network, the disk) failed."""

    INTERRUPTED = 130


errors = Console(stderr=True, highlight=False)
"""Progress, hints and errors: stdout is for results."""

Stack = Annotated[str | None, typer.Option("--stack", help="A stack on AWS. Default: the local stack.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
TaskId = Annotated[str, typer.Argument(metavar="TASK_ID", help="The task.")]


def finish(target: Target, task_id: str, execution_arn: str, *, as_json: bool) -> None:
    """Follow an execution to its end, print the task's status, and exit 1 if items are missing."""
    with views.bars(errors) as bars:
        follow_run(
            target.stepfunctions,
            execution_arn,
            lambda: bars.show(task_status(target.engine, task_id)),
        )
    final = task_status(target.engine, task_id)
    report(final, as_json=as_json)
    if final.status != "completed":
        raise typer.Exit(ExitCode.ITEMS_MISSING)


def report(task: TaskStatus, *, as_json: bool) -> None:
    """Print a task's status."""
    if as_json:
        print_json(task.model_dump(mode="json"))
    else:
        Console().print(views.outcome(task))


def print_json(document: object) -> None:
    """Print one JSON document to stdout."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


@contextmanager
def errors_in_one_line() -> Iterator[None]:
    """Print a known error in one line and exit with its code. An unknown error keeps its traceback."""
    try:
        yield
    except ContentError as error:
        errors.print(Text.assemble((error.code, "red"), f": {error}"), soft_wrap=True)
        sys.exit(ExitCode.EXTERNAL_FAILURE if isinstance(error, TransientError) else ExitCode.REFUSED)
