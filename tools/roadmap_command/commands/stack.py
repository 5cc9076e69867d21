"""`roadmap up`, `down`: the local stack."""

import typer

from roadmap_command.interface import errors
from roadmap_command.local import local_stack

group = typer.Typer()


@group.command()
def up() -> None:
    """Start the local stack, for the other commands."""
    with errors.status("starting PostgreSQL and the local cloud"):
        stack = local_stack().up()
    errors.print(f"The stack is up: the cloud at {stack.endpoint_url}, PostgreSQL beside it.")


@group.command()
def down() -> None:
    """Stop the local stack and delete its data."""
    local_stack().down()
    errors.print("The stack is down.")
