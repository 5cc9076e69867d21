"""`roadmap status`: show tasks."""

import typer

from roadmap_command.interface import Json, Stack, TaskId, report
from roadmap_command.runs import task_status
from roadmap_command.target import Target

group = typer.Typer()


@group.command()
def status(task_id: TaskId, stack: Stack = None, as_json: Json = False) -> None:
    """Show a task's status."""
    report(task_status(Target.named(stack).engine, task_id), as_json=as_json)
