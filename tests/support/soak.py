"""The common part of all soaks: how one ends.

A soak loads tasks, breaks their services, heals them, and checks the invariants. The last line of its output
is one JSON object with its counts, and its exit code is 1 if an invariant is broken.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.console import Console

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
