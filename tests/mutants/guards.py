"""The guards of the product's guarantees, each with a mutation that removes it: guards.txt, read.

A mutation is an exact replacement in one file. If its text no longer occurs exactly once, the guard was
rewritten, and the declaration must follow.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LAYER = "layers/common/roadmap_content"
_ENTRY = re.compile(r"^(?![-+=])(.+?): (.+)\n((?:-.*\n)+)((?:\+.*\n)*)((?:= .*\n?)+)", re.MULTILINE)


class DoesNotApplyError(Exception):
    """The text to replace does not occur exactly once in its file."""


@dataclass(frozen=True)
class Mutant:
    """The product without one guard, and the smallest set of tests that must detect it."""

    guard: str
    removed: str
    """A description of the removed guard."""

    path: str
    """The path of the file in the repository."""

    old: str
    new: str
    tests: tuple[str, ...]
    """pytest node ids without parameters."""

    def applied_to(self, source: str) -> str:
        """The file's text without the guard.

        Raises:
            DoesNotApplyError: the text of the guard differs from its declaration.
        """
        if (found := source.count(self.old)) != 1:
            raise DoesNotApplyError(f"{self.guard}: its text occurs in {self.path} {found} times")
        return source.replace(self.old, self.new)

    def apply(self, root: Path) -> None:
        """Remove the guard from the tree at `root`."""
        file = root / self.path
        file.write_text(self.applied_to(file.read_text()))


def _lines(text: str) -> str:
    return "\n".join(line[1:] for line in text.splitlines())


def read(table: str) -> Iterator[Mutant]:
    """The mutants of a table in the form that the first lines of guards.txt explain.

    Raises:
        ValueError: a line has another form.
    """
    for section in table.split("\n@ ")[1:]:
        name, _, entries = section.partition("\n")
        path = name[1:] if name.startswith("/") else f"{_LAYER}/{name}"
        if unread := _ENTRY.sub("", entries).strip():
            raise ValueError(f"{name}: {unread}")
        for guard, removed, old, new, tests in _ENTRY.findall(entries):
            ids = tuple(f"tests/{line[2:]}" for line in tests.splitlines())
            yield Mutant(guard, removed, path, _lines(old), _lines(new), ids)


MUTANTS = tuple(read(Path(__file__).with_name("guards.txt").read_text()))
