"""`roadmap run`, `status`, `retry`, `redrive`: a task's status, and the three ways to start work on it."""

from typing import Annotated

import typer

from local_stack.errors import RefusedError
from roadmap_command.commands.history import OptionalItem, parse_item
from roadmap_command.interface import (
    ExitCode,
    Json,
    Stack,
    TaskId,
    command_name,
    errors,
    finish,
    if_interrupted,
    may_start,
    print_json,
    report,
)
from roadmap_command.runs import is_running, redrive_run, start_run
from roadmap_command.target import Target
from roadmap_content.client.client import Client
from roadmap_content.client.http import ApiRefusedError
from roadmap_content.contracts.api.tasks import RetryPreview
from roadmap_content.contracts.items import ContentType

group = typer.Typer()


@group.command()
def run(task_id: TaskId, stack: Stack = None, as_json: Json = False) -> None:
    """Run the state machine for a task, and wait for its end."""
    with if_interrupted(f"No run was started; see the task with: {command_name()} status {task_id}"):
        target = Target.named(stack)
        client = target.client()
        task = client.status(task_id)
        if task.execution_arn and is_running(target.stepfunctions, task.execution_arn):
            raise RefusedError(
                f"attempt {task.attempt} is running for task {task_id}: {task.execution_arn};"
                f" see it with: {command_name()} status {task_id}"
            )
        missing, not_staged = _planned_work(client, task_id)
        if not_staged:
            errors.print(announcement(missing, not_staged, local=stack is None))
    with may_start(task_id):
        arn = start_run(target.stepfunctions, target.state_machine_arn, task_id)
    finish(target, task_id, arn, as_json=as_json)


def announcement(missing: int, not_staged: int, *, local: bool) -> str:
    """A sentence about the items that a run will generate."""
    verb, pronoun = ("is", "it") if not_staged == 1 else ("are", "they")
    generator = "offline, in English or Chinese" if local else "by the stack's generator"
    return (
        f"{not_staged} of {missing} missing items {verb} not staged: {pronoun} will be generated"
        f" ({generator})."
    )


@group.command()
def status(task_id: TaskId, stack: Stack = None, as_json: Json = False) -> None:
    """Show a task's status; exit with 1 if items are missing."""
    hint = (
        f"Nothing was changed. A run of the task continues; follow it with: {command_name()} watch {task_id}"
    )
    with if_interrupted(hint):
        task = Target.named(stack).client().status(task_id)
    report(task, as_json=as_json)
    if task.skipped_concepts or any(progress.missing for progress in task.progress.values()):
        raise typer.Exit(ExitCode.ITEMS_MISSING)


@group.command()
def retry(
    task_id: TaskId,
    item: OptionalItem = None,
    content_type: Annotated[
        ContentType | None, typer.Option("--type", help="Only items of this type.")
    ] = None,
    regenerate: Annotated[
        bool, typer.Option("--regenerate", help="Also generate saved items again and replace them.")
    ] = False,
    instruction: Annotated[
        str | None,
        typer.Option("--instruction", metavar="TEXT", help="With --regenerate: how contents are changed."),
    ] = None,
    revision: Annotated[
        str | None,
        typer.Option("--revision", metavar="ID", help="Change an item only while this is its content."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print a preview of the retry. Nothing is started.")
    ] = False,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Retry the items that are missing in PostgreSQL, through the API, and wait for the end."""
    concept_id = None
    if item is not None:
        concept_id, content_type = parse_item(item)
    if revision is not None and instruction is None:
        raise RefusedError("--revision is used with --instruction")
    target = Target.named(stack)
    client = target.client()
    if dry_run:
        preview = client.preview_retry(
            task_id,
            concept_id=concept_id,
            content_type=content_type,
            regenerate=regenerate,
            instruction=instruction,
            revision=revision,
        )
        _print_preview(preview, as_json=as_json)
        return
    with may_start(task_id):
        answer = client.retry(
            task_id,
            concept_id=concept_id,
            content_type=content_type,
            regenerate=regenerate,
            instruction=instruction,
            revision=revision,
        )
    started = answer.status == "processing"
    errors.print(f"{202 if started else 200}: {answer.message} (items: {answer.total_items})")
    if started:
        finish(target, task_id, answer.execution_arn, as_json=as_json)
    else:
        report(client.status(task_id), as_json=as_json)


def _print_preview(preview: RetryPreview, *, as_json: bool) -> None:
    if as_json:
        print_json(preview)
        return
    tokens = preview.estimated_tokens
    estimate = "unknown" if tokens is None else f"about {tokens:,}"
    typer.echo(
        f"staged, will be saved: {sum(preview.staged.values())}; "
        f"will be generated: {sum(preview.to_generate.values())}; tokens: {estimate}"
    )


@group.command()
def redrive(task_id: TaskId, stack: Stack = None, as_json: Json = False) -> None:
    """Redrive the task's last execution, as the Step Functions console does, and wait for its end."""
    target = Target.named(stack)
    arn = target.client().status(task_id).execution_arn
    if not arn:
        raise RefusedError(f"task {task_id} has never been run")
    with may_start(task_id):
        redrive_run(target.stepfunctions, arn)
    finish(target, task_id, arn, as_json=as_json)


def _planned_work(client: Client, task_id: str) -> tuple[int, int]:
    """The number of items that a run would save or generate, and the number that it would generate.

    Zero if a retry is refused: a run records the reason.
    """
    try:
        preview = client.preview_retry(task_id)
    except ApiRefusedError:
        return 0, 0
    return preview.total_items, sum(preview.to_generate.values())
