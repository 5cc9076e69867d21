"""How many calls of a model a process has in flight: as many as the quota allows, found by trying.

Additive increase, multiplicative decrease, as TCP shares a line: an answer raises the limit by its share of
one call, and by one call until the first is throttled; a throttled call halves the limit and holds every
further call for a pause, which doubles until a call is answered. Concurrent invocations share no state
except the quota itself: all of them receive its 429s, and their limits converge to equal parts.
"""

import random
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from ..storage.bucket import PARALLEL

FIRST_LIMIT = 8.0
FIRST_HOLD, LONGEST_HOLD = 0.5, 8.0
TURN = 0.1
"""Seconds until a thread without a turn asks again."""


class Turn(NamedTuple):
    """The permission to make one call."""

    cuts: int
    """How often the limit had been cut when the call began."""


class Pace:
    """The limit of one process. Safe for use by several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._hold = FIRST_HOLD
        self._lock = threading.Lock()
        self._limit = FIRST_LIMIT
        self._in_flight = self._cuts = 0
        self._held_until = float("-inf")

    @property
    def limit(self) -> float:
        """Calls that may be in flight."""
        return self._limit

    def begin(self) -> Turn | float:
        """Begin a call, or return the seconds after which to ask again."""
        with self._lock:
            held = self._held_until - self._clock()
            if held > 0:
                return held
            if self._in_flight >= int(self._limit):
                return TURN
            self._in_flight += 1
            return Turn(self._cuts)

    def end(self, turn: Turn, *, throttled: bool = False) -> None:
        """End a call. Of calls that were in flight together, the first that is throttled cuts the limit."""
        with self._lock:
            self._in_flight -= 1
            if not throttled:
                self._limit = min(self._limit + (1 / self._limit if self._cuts else 1), PARALLEL)
                self._hold = FIRST_HOLD
            elif turn.cuts == self._cuts:
                self._cuts += 1
                self._limit = max(self._limit / 2, 1.0)
                # With jitter, so that invocations that were throttled together do not come back together.
                self._held_until = self._clock() + random.uniform(0.5, 1) * self._hold  # noqa: S311
                self._hold = min(2 * self._hold, LONGEST_HOLD)
