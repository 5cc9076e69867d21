"""`roadmap up`, `down`: the local stack."""

import typer

from local_stack.stack import LocalStack
from roadmap_command.interface import errors

group = typer.Typer()


@group.command()
def up() -> None:
    """Start the local stack, for the other commands."""
    with errors.status("starting PostgreSQL and the local cloud"):
        stack = LocalStack.up()
    errors.print(f"The stack is up: the cloud at {stack.endpoint_url}, PostgreSQL beside it.")


@group.command()
def down() -> None:
    """Stop the local stack and delete its data."""
    LocalStack.down()
    errors.print("The stack is down.")
