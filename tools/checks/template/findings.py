"""What a check finds."""

from typing import NamedTuple


class Finding(NamedTuple):
    """A fault: where it is, and what is wrong."""

    place: str
    fault: str

    def __str__(self) -> str:
        """One line."""
        return f"{self.place}: {self.fault}"
