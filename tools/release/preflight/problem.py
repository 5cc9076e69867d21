"""The arguments and the results of the checks."""

from collections.abc import Mapping
from typing import NamedTuple


class Target(NamedTuple):
    """A deployment that is planned."""

    stack: str
    region: str
    parameters: Mapping[str, str]

    def values(self, name: str) -> list[str]:
        """The values of a parameter that is a list."""
        return [each.strip() for each in self.parameters[name].split(",") if each.strip()]


class Problem(NamedTuple):
    """A fault of the account, and the command or the change that mends it."""

    wrong: str
    remedy: str
