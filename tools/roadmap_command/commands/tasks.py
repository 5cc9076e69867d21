"""`roadmap status`: show tasks."""

import typer

from roadmap_command.interface import Json, Stack, TaskId, report
from roadmap_command.target import Target
from roadmap_command.task_reading import read_task_detail

group = typer.Typer()


@group.command()
def status(task_id: TaskId, stack: Stack = None, as_json: Json = False) -> None:
    """Show a task's status."""
    report(read_task_detail(Target.named(stack), task_id), as_json=as_json)
