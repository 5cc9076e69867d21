"""The histories of executions that an environment has read, so that a page that polls reads few."""

import time
from collections.abc import Callable
from typing import NamedTuple

from ..timeline.visits import History
from .executions import Executions

FRESH_SECONDS = 10
"""The time for which the history of an attempt that has not ended is read once."""

MOST_VISITS = 20_000
"""Maximum visits of all cached histories together. Bounds the memory of a long-lived environment."""


class _Read(NamedTuple):
    history: History | None
    read_at: float
    is_final: bool


class Histories:
    """A cache of histories. Evicts the least recently used."""

    def __init__(self, executions: Executions, clock: Callable[[], float] = time.monotonic) -> None:
        self._executions = executions
        self._clock = clock
        self._reads: dict[tuple[str, int], _Read] = {}
        """By execution and attempt, least recently used first."""

    def read(self, execution_arn: str, attempt: int, *, is_final: bool) -> History | None:
        """The history of an attempt's execution; `None` if the execution is not known.

        `is_final`: the part of the history that belongs to the attempt does not change any more. A redrive
        adds the next attempt to it.

        Raises:
            ExecutionsUnavailableError: a request failed, or the quota is exhausted.
        """
        key, now = (execution_arn, attempt), self._clock()
        known = self._reads.pop(key, None)
        if known is None or not (known.is_final or now - known.read_at < FRESH_SECONDS):
            known = _Read(self._executions.history(execution_arn), now, is_final)
        self._reads[key] = known
        while len(self._reads) > 1 and self._visits() > MOST_VISITS:
            del self._reads[next(iter(self._reads))]
        return known.history

    def _visits(self) -> int:
        return sum(len(read.history.visits) if read.history else 1 for read in self._reads.values())
