"""`roadmap status`: show tasks."""

import typer

from roadmap_command.interface import (
    ExitCode,
    Json,
    Stack,
    TaskId,
    command_name,
    if_interrupted,
    report,
)
from roadmap_command.target import Target
from roadmap_command.task_reading import read_task_detail

group = typer.Typer()


@group.command()
def status(task_id: TaskId, stack: Stack = None, as_json: Json = False) -> None:
    """Show a task's status; exit with 1 if items are missing."""
    hint = (
        f"Nothing was changed. A run of the task continues; follow it with: {command_name()} watch {task_id}"
    )
    with if_interrupted(hint):
        task = read_task_detail(Target.named(stack), task_id)
    report(task, as_json=as_json)
    if any(progress.missing for progress in task.progress.values()):
        raise typer.Exit(ExitCode.ITEMS_MISSING)
