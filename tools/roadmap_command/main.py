"""The `roadmap` command: the local stack by default, a stack on AWS with `--stack`."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from local_stack.errors import RefusedError
from local_stack.stack import LocalStack
from roadmap_command import views
from roadmap_command.load import load_bundle
from roadmap_command.runs import follow_run, owner_of, redrive_run, start_run, task_status
from roadmap_command.target import Target
from roadmap_content.api.status import TaskStatus
from roadmap_content.bundle import parse_bundle
from roadmap_content.errors import ContentError
from roadmap_content.items import ContentType
from roadmap_content.roadmaps.framework import Concept
from roadmap_content.runtime.deadline import Deadline

INCOMPLETE, REFUSED = 1, 2
"""Exit codes: the task misses items; the command could not be done."""

app = typer.Typer(
    name="roadmap",
    help="Saves a roadmap's generated content, and makes again exactly what is missing.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
errors = Console(stderr=True, highlight=False)

Stack = Annotated[str | None, typer.Option("--stack", help="A stack on AWS; without it, the local one.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
TaskId = Annotated[str, typer.Argument(metavar="TASK_ID", help="The task.")]


@app.command()
def up() -> None:
    """Start the local stack, for the other commands."""
    with errors.status("starting PostgreSQL and the local cloud"):
        stack = LocalStack.up()
    errors.print(f"The stack is up: the cloud at {stack.endpoint_url}, PostgreSQL beside it.")


@app.command()
def down() -> None:
    """Stop the local stack and forget what it held."""
    LocalStack.down()
    errors.print("The stack is down.")


@app.command()
def load(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE.json", exists=True, dir_okay=False)],
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Load a roadmap, its task and its generated content: staged, not yet saved."""
    loaded = parse_bundle(bundle.read_bytes())
    with errors.status(f"loading {bundle.name}"):
        target = Target.named(stack)
        load_bundle(loaded, target.engine, target.bucket, Deadline.after(300))
    if as_json:
        _print_json({"task_id": loaded.task.task_id, "staged": len(loaded.content)})
    else:
        errors.print(f"{len(loaded.content)} items are staged for task {loaded.task.task_id}.")
        errors.print(f"Save them with: roadmap run {loaded.task.task_id}")


@app.command()
def run(task_id: TaskId, stack: Stack = None, as_json: Json = False) -> None:
    """Run the state machine for a task, and wait for its end."""
    target = Target.named(stack)
    task_status(target.engine, task_id)  # a task that does not exist is said before a run is started for it
    arn = start_run(target.stepfunctions, target.state_machine_arn, task_id)
    _finish(target, task_id, arn, as_json=as_json)


@app.command()
def retry(task_id: TaskId, stack: Stack = None, as_json: Json = False) -> None:
    """Make again exactly what PostgreSQL misses, through the API, and wait for its end."""
    target = Target.named(stack)
    user_id = owner_of(target.engine, task_id)
    answer = target.api(user_id).retry(task_id)
    if answer.status not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
        reason = answer.body["message"] if isinstance(answer.body, dict) else answer.body
        raise RefusedError(f"{answer.status}: {reason}")
    errors.print(f"{answer.status}: {answer.body['message']} (items: {answer.body['total_items']})")
    if answer.status == HTTPStatus.OK:
        _report(task_status(target.engine, task_id), as_json=as_json)
    else:
        _finish(target, task_id, answer.body["execution_arn"], as_json=as_json)


@app.command()
def redrive(task_id: TaskId, stack: Stack = None, as_json: Json = False) -> None:
    """Redrive the task's last execution, as the console does, and wait for its end."""
    target = Target.named(stack)
    arn = task_status(target.engine, task_id).execution_arn
    if arn is None:
        raise RefusedError(f"task {task_id} has never been run")
    redrive_run(target.stepfunctions, arn)
    _finish(target, task_id, arn, as_json=as_json)


@app.command()
def reconcile(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be put right.")] = False,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Record what ended without a record, and put right what no longer follows from the tables."""
    result = Target.named(stack).invoke("ReconcileTaskFunction", {"dry_run": dry_run})
    if as_json:
        _print_json(result)
        return
    for repair in result["repairs"]:
        errors.print(f"task {repair['task_id']}: {', '.join(repair['changed'])} → {repair['status']}")
    verb = "to be put right" if dry_run else "put right"
    errors.print(f"Tasks looked at: {result['checked']}; {verb}: {len(result['repairs'])}.")


@app.command()
def status(task_id: TaskId, stack: Stack = None, as_json: Json = False) -> None:
    """Show how a task stands."""
    _report(task_status(Target.named(stack).engine, task_id), as_json=as_json)


@app.command("generate-one")
def generate_one_item(
    concept: Annotated[str, typer.Option("--concept", help="The concept's name.")],
    content_type: Annotated[ContentType, typer.Option("--type", help="What to make.")] = ContentType.QUIZ,
    description: Annotated[str, typer.Option("--description", help="What the concept is about.")] = "",
    language: Annotated[str, typer.Option("--language", help="A tag: zh, en.")] = "",
    model: Annotated[
        str | None, typer.Option("--model", help="A model's id, or an inference profile's id or ARN.")
    ] = None,
    region: Annotated[str | None, typer.Option("--region", help="Where the model is asked.")] = None,
) -> None:
    """Generate one item by a real model; print it, its tokens and its seconds. Nothing is saved."""
    from roadmap_command.generate_one import generate_one

    with errors.status("asking the model"):
        made = generate_one(
            Concept("one", concept, description),
            content_type,
            language=language,
            model_id=model,
            region=region,
        )
    _print_json(made.document())


@app.command()
def demo(
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", help="Another roadmap than the one of the project.", exists=True),
    ] = None,
) -> None:
    """Run a roadmap through a stack of its own, with three real faults, and heal it."""
    from roadmap_command.demo import run_demo

    run_demo(bundle)


def _finish(target: Target, task_id: str, execution_arn: str, *, as_json: bool) -> None:
    """Follow a run to its end, and report the task."""
    with views.bars(errors) as bars:
        follow_run(
            target.stepfunctions,
            execution_arn,
            lambda: bars.show(task_status(target.engine, task_id)),
        )
    final = task_status(target.engine, task_id)
    _report(final, as_json=as_json)
    if final.status != "completed":
        raise typer.Exit(INCOMPLETE)


def _report(task: TaskStatus, *, as_json: bool) -> None:
    if as_json:
        _print_json(task.model_dump(mode="json"))
    else:
        Console().print(views.outcome(task))


def _print_json(document: object) -> None:
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """What the system can name is said in one line; anything else is a defect, with its traceback."""
    try:
        yield
    except ContentError as error:
        errors.print(f"[red]{error.code}[/red]: ", str(error), sep="", markup=True, highlight=False)
        sys.exit(REFUSED)


def main() -> None:
    """The entry point."""
    with _errors_in_one_line():
        app()
