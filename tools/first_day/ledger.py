"""The list of what must be removed, in a file: it is written before a thing is made, so that a process that
is killed leaves it, and the next call removes the things.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple


class Entry(NamedTuple):
    """A thing that a belief makes or changes, as its `undo` needs to know it."""

    belief: str
    made: Mapping[str, str]


class Ledger:
    """The entries of a stack's file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def entries(self) -> list[Entry]:
        """What is still to be removed, the oldest first."""
        return [Entry(*each) for each in json.loads(self.path.read_text())] if self.path.exists() else []

    def note(self, belief: str, made: Mapping[str, str]) -> None:
        """Record a thing that is about to be made."""
        self._write([*self.entries, Entry(belief, dict(made))])

    def forget(self, entry: Entry) -> None:
        """Record that a thing is removed."""
        self._write([each for each in self.entries if each != entry])

    def _write(self, entries: list[Entry]) -> None:
        if not entries:
            self.path.unlink(missing_ok=True)
            return
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(entries, indent=1))
        new.replace(self.path)  # at once: a reader finds the old or the new list
