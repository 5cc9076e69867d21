"""The finding of a check."""

from typing import NamedTuple


class Finding(NamedTuple):
    """A finding: its place and its description."""

    place: str
    fault: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.place}: {self.fault}"
