"""The common part of all soaks: how one ends, and the server of one that runs in this process.

A soak loads tasks, breaks their services, heals them, and checks the invariants. The last line of its output
is one JSON object with its counts, and its exit code is 1 if an invariant is broken.
"""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from local_stack.given_database import given_or_embedded
from local_stack.postgres_server import Server
from roadmap_content.platform.runtime.log import logger

console = Console(stderr=True, highlight=False, width=160)


class Found(NamedTuple):
    """The counts of a soak, and each broken invariant."""

    counts: Mapping[str, Any]
    broken: Sequence[str]


def end(found: Found) -> int:
    """Print the result of a soak; return the exit code."""
    for name, value in found.counts.items():
        console.print(f"{name.replace('_', ' ')}: {value}", markup=False)
    for line in found.broken[:100]:
        console.print(line, style="red", markup=False)
    sys.stdout.write(json.dumps(found.counts) + "\n")
    return 1 if found.broken else 0


@contextmanager
def own_server(name: str) -> Iterator[Server]:
    """A PostgreSQL server for a soak in this process, without the log of the failures that it causes."""
    logger.setLevel("CRITICAL")
    with (
        tempfile.TemporaryDirectory(prefix=f"roadmap-{name}-") as directory,
        given_or_embedded(Path(directory), fsync=False) as server,
    ):
        yield server
