"""What is being done, and how long it took, for whoever waits: a line a step."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

console = Console(stderr=True, highlight=False)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say what is being done while it is, and that it is done."""
    started = time.monotonic()
    with console.status(what):
        yield
    console.print(f"  {what} [dim]{time.monotonic() - started:.1f} s[/dim]")
