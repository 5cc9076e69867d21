"""`roadmap up`, `down`: the local stack."""

from typing import Annotated

import typer

from roadmap_command.interface import errors
from roadmap_command.local import local_stack

group = typer.Typer()


@group.command()
def up(
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the data of the last stack first.")] = False,
) -> None:
    """Start the local stack, for the other commands, with the data that it had when it was stopped."""
    with errors.status("starting PostgreSQL and the local cloud"):
        stack = local_stack().up(fresh=fresh)
    errors.print(f"The stack is up: the cloud at {stack.endpoint_url}, PostgreSQL beside it.")
    errors.print("The console, signed in as an operator for one hour:")
    errors.print(stack.console_link(), soft_wrap=True)


@group.command()
def down() -> None:
    """Stop the local stack. Its tasks and content are kept for the next `up`; executions are not."""
    local_stack().down()
    errors.print("The stack is down.")
