"""A belief about AWS: a function that tries it on a stack, with the claim as its docstring."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from roadmap_content.contracts.errors import PermanentError

from .stack import Stack


class Verdict(StrEnum):
    """The result of a try."""

    HELD = "held"
    REFUTED = "refuted"
    NOT_TRIED = "not tried"


class Answer(NamedTuple):
    """A verdict, and AWS's answer."""

    verdict: Verdict
    said: str


def held_if(condition: object, said: object) -> Answer:
    """`held` if the condition is true; otherwise `refuted`."""
    return Answer(Verdict.HELD if condition else Verdict.REFUTED, str(said))


class NotTriedError(PermanentError, code="NotTried"):
    """Something that the try needs is missing. The message names it."""


Attempt = Callable[[Stack], Answer]


@dataclass(frozen=True)
class Belief:
    """A belief. `Stack.before` records each change of a try, which is undone afterwards."""

    attempt: Attempt
    """Raises NotTriedError: something is missing."""

    plan: tuple[str, ...]
    """The operations that a try and its undo may send, as `service.Operation`."""

    disturbs: bool
    """Whether users may notice the try: it runs only if it is named, on a stack whose tag permits it."""

    pages: bool
    """Whether it pages people."""

    needs_release: bool
    """Whether the try deploys another release, the artefact given as ARTIFACT."""

    smoke: bool
    """Whether it belongs to the short part that runs between staging and production."""

    only_aws: str
    """Why the local stack cannot answer it; empty if it can."""

    @property
    def name(self) -> str:
        """The name on the command line."""
        return self.attempt.__name__

    @property
    def claim(self) -> str:
        """The belief, as a sentence."""
        return str(self.attempt.__doc__).partition("\n")[0]


def belief(
    *plan: str,
    disturbs: bool = False,
    pages: bool = False,
    needs_release: bool = False,
    smoke: bool = False,
    only_aws: str = "",
) -> Callable[[Attempt], Belief]:
    """Make a belief of the function that tries it."""
    return lambda attempt: Belief(attempt, plan, disturbs, pages, needs_release, smoke, only_aws)
