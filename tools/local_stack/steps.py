"""Print the steps of a check and their durations, one line per step."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

console = Console(stderr=True, highlight=False)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Show a step while it runs, and its duration afterwards."""
    started = time.monotonic()
    with console.status(what):
        yield
    console.print(f"  {what} [dim]{time.monotonic() - started:.1f} s[/dim]")
