"""`roadmap demo`: the complete demonstration on a separate stack."""

from typing import Annotated

import typer

group = typer.Typer()


@group.command()
def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the stack at the end, and print a link to its console.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="With --keep: delete the data of the last local stack first.")
    ] = False,
) -> None:
    """Run a roadmap through a separate stack, with three real faults, and repair it."""
    from roadmap_command.demo import run_demo

    run_demo(keep=keep, fresh=fresh)
