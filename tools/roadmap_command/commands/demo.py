"""`roadmap demo`: the whole story on a stack of its own."""

from pathlib import Path
from typing import Annotated

import typer

group = typer.Typer()


@group.command()
def demo(
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", help="A roadmap in place of the project's sample.", exists=True),
    ] = None,
) -> None:
    """Run a roadmap through a stack of its own, with three real faults, and heal it."""
    from roadmap_command.demo import run_demo

    run_demo(bundle)
