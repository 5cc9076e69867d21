"""`roadmap run`, `retry`, `redrive`: the three ways to start work on a task."""

from http import HTTPStatus

import typer

from local_stack.errors import RefusedError
from roadmap_command.interface import Json, Stack, TaskId, command_name, errors, finish, report
from roadmap_command.runs import is_running, owner_of, planned_work, redrive_run, start_run, task_status
from roadmap_command.target import Target

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
def retry(task_id: TaskId, stack: Stack = None, as_json: Json = False) -> None:
    """Retry exactly the items that PostgreSQL is missing, through the API, and wait for the end."""
    target = Target.named(stack)
    user_id = owner_of(target.engine, task_id)
    answer = target.api(user_id).retry(task_id)
    if answer.status not in (HTTPStatus.OK, HTTPStatus.ACCEPTED):
        reason = answer.body["message"] if isinstance(answer.body, dict) else answer.body
        raise RefusedError(f"{answer.status}: {reason}")
    errors.print(f"{answer.status}: {answer.body['message']} (items: {answer.body['total_items']})")
    if answer.status == HTTPStatus.OK:
        report(task_status(target.engine, task_id), as_json=as_json)
    else:
        finish(target, task_id, answer.body["execution_arn"], as_json=as_json)


@group.command()
def redrive(task_id: TaskId, stack: Stack = None, as_json: Json = False) -> None:
    """Redrive the task's last execution, as the Step Functions console does, and wait for its end."""
    target = Target.named(stack)
    arn = task_status(target.engine, task_id).execution_arn
    if arn is None:
        raise RefusedError(f"task {task_id} has never been run")
    redrive_run(target.stepfunctions, arn)
    finish(target, task_id, arn, as_json=as_json)
