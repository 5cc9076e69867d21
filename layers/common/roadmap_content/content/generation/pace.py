"""The pace of a process's model calls, which adapts to the quota by trial.

A throttled call is refused immediately and costs nothing; an answer takes many seconds. Therefore the
interval between the starts of two calls is adapted, and not the number of concurrent calls: a call that
starts shortens the interval by `SHORTER`, a throttled call lengthens it by `LONGER`. Both balance where about
half of the calls are throttled, so that the whole quota is used. Concurrent invocations share no state except
the quota itself: all of them receive its 429s, and their intervals converge.
"""

import random
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

FIRST_INTERVAL, SHORTEST_INTERVAL, LONGEST_INTERVAL = 0.1, 0.02, 3.0
"""Seconds. The longest bounds how much of the quota is unused when other invocations end."""

SHORTER, LONGER = 0.85, 1.2


class Turn(NamedTuple):
    """The permission to make one call."""

    throttled: int
    """How often the process had been throttled when the call started."""


class Pace:
    """The interval of one process. Safe for use by several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._interval = FIRST_INTERVAL
        self._next = float("-inf")
        self._throttled = 0

    @property
    def interval(self) -> float:
        """Seconds between the starts of two calls."""
        return self._interval

    def begin(self) -> Turn | float:
        """Start a call, or return the seconds to wait before the next try."""
        with self._lock:
            wait = self._next - self._clock()
            if wait > 0:
                return wait
            self._hold()
            self._interval = max(self._interval * SHORTER, SHORTEST_INTERVAL)
            return Turn(self._throttled)

    def throttled(self, turn: Turn) -> None:
        """Record that a call was throttled. Of several concurrent calls, only the first counts."""
        with self._lock:
            if turn.throttled == self._throttled:
                self._throttled += 1
                # The call shortened the interval when it started.
                self._interval = min(self._interval / SHORTER * LONGER, LONGEST_INTERVAL)
                self._hold()

    def _hold(self) -> None:
        # With jitter, so that invocations that were throttled together do not retry together.
        self._next = self._clock() + random.uniform(0.5, 1.5) * self._interval  # noqa: S311
