"""`roadmap run`, `retry`, `redrive`: the three ways to start work on a task."""

from http import HTTPStatus
from typing import Annotated, Any

import typer

from local_stack.errors import RefusedError
from roadmap_command.interface import Json, Stack, TaskId, command_name, errors, finish, print_json, report
from roadmap_command.runs import is_running, owner_of, planned_work, redrive_run, start_run, task_status
from roadmap_command.target import Target
from roadmap_content.items import ContentType

group = typer.Typer()


@group.command()
def run(task_id: TaskId, stack: Stack = None, as_json: Json = False) -> None:
    """Run the state machine for a task, and wait for its end."""
    target = Target.named(stack)
    work = planned_work(target.engine, target.bucket, task_id)
    if work.task.execution_arn and is_running(target.stepfunctions, work.task.execution_arn):
        raise RefusedError(
            f"attempt {work.task.attempt} is at work on task {task_id}: {work.task.execution_arn};"
            f" see it with: {command_name()} status {task_id}"
        )
    if work.not_staged:
        errors.print(
            f"{work.not_staged} of {work.missing} missing items are not staged: they will be generated"
            f" ({'offline, in English or Chinese' if stack is None else 'by the model'}).",
            soft_wrap=True,
        )
    arn = start_run(target.stepfunctions, target.state_machine_arn, task_id)
    finish(target, task_id, arn, as_json=as_json)


@group.command()
def retry(
    task_id: TaskId,
    concept_id: Annotated[str | None, typer.Option(help="Only the items of this concept.")] = None,
    content_type: Annotated[ContentType | None, typer.Option(help="Only items of this type.")] = None,
    regenerate: Annotated[
        bool, typer.Option("--regenerate", help="Also generate saved items again and replace them.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what the retry would do, and start nothing.")
    ] = False,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Retry exactly the items that PostgreSQL is missing, through the API, and wait for the end."""
    target = Target.named(stack)
    user_id = owner_of(target.engine, task_id)
    query = {
        "concept_id": concept_id,
        "content_type": content_type,
        "regenerate": "true" if regenerate else None,
        "dry_run": "true" if dry_run else None,
    }
    answer = target.api(user_id).retry(task_id, **{name: value for name, value in query.items() if value})
    if answer.status not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
        reason = answer.body["message"] if isinstance(answer.body, dict) else answer.body
        raise RefusedError(f"{answer.status}: {reason}")
    if dry_run:
        _print_preview(answer.body, as_json=as_json)
        return
    errors.print(f"{answer.status}: {answer.body['message']} (items: {answer.body['total_items']})")
    if answer.status == HTTPStatus.OK:
        report(task_status(target.engine, task_id), as_json=as_json)
    else:
        finish(target, task_id, answer.body["execution_arn"], as_json=as_json)


def _print_preview(preview: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(preview)
        return
    tokens = preview["estimated_tokens"]
    estimate = "unknown" if tokens is None else f"about {tokens:,}"
    typer.echo(
        f"staged, will be saved: {sum(preview['staged'].values())}; "
        f"will be generated: {sum(preview['to_generate'].values())}; tokens: {estimate}"
    )


@group.command()
def redrive(task_id: TaskId, stack: Stack = None, as_json: Json = False) -> None:
    """Redrive the task's last execution, as the Step Functions console does, and wait for its end."""
    target = Target.named(stack)
    arn = task_status(target.engine, task_id).execution_arn
    if arn is None:
        raise RefusedError(f"task {task_id} has never been run")
    redrive_run(target.stepfunctions, arn)
    finish(target, task_id, arn, as_json=as_json)
