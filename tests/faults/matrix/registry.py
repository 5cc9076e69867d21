"""The implementation of each fault, by fault and step."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple

from tests.faults.matrix.declaration import Fault, Step
from tests.faults.matrix.play import Play

Injection = Callable[[Play], AbstractContextManager[None]]

WRITES: Mapping[Step, tuple[str, ...]] = {
    Step.PLAN: ("roadmap_tasks",),
    Step.GENERATE: ("content_failures",),
    Step.SAVE: ("tutorial_metadata", "resource_recommendation_metadata", "quiz_metadata"),
    Step.FINALIZE: ("roadmap_tasks",),
    Step.AWAIT_REDRIVE: ("roadmap_tasks",),
    Step.RETRY: ("roadmap_tasks",),
    Step.RECONCILE: ("roadmap_tasks",),
}
"""The table that a step writes at its end."""

COMMITS: Mapping[Step, int] = {
    Step.PLAN: 4,
    Step.GENERATE: 5,
    Step.SAVE: 1,
    Step.FINALIZE: 1,
    Step.AWAIT_REDRIVE: 2,
    Step.RETRY: 2,
    Step.RECONCILE: 6,
}
"""The number of transactions of a step; `again_later` counts them. Generate reads its context, takes the lock
of the item, checks whether the task is cancelled, releases the lock, and records its actions.
"""


class Injector(NamedTuple):
    """A fault: its description in the report, and its implementation."""

    what: str
    inject: Injection


INJECTORS: dict[tuple[Fault, Step], Injector] = {}


def injects(fault: Fault, *steps: Step, what: str) -> Callable[[Callable[[Play], Iterator[None]]], Injection]:
    """Register the implementation of a fault for some steps."""

    def register(make: Callable[[Play], Iterator[None]]) -> Injection:
        inject = contextmanager(make)
        for step in steps:
            INJECTORS[fault, step] = Injector(what, inject)
        return inject

    return register


DATABASE = tuple(WRITES)
"""The steps that use the database."""


SEVERAL = tuple(step for step in DATABASE if COMMITS[step] > 1)
"""The steps with more than one transaction."""
