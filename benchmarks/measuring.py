"""How things are measured against each other: in turn, so that whatever the machine does meets all of them.

Pure but for the clock. A ratio is taken round by round and only then its median: a slow minute slows both
sides of a round, and cancels out.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

Trial = Callable[[], float]
"""Prepares outside the clock, does its work once, and returns what it measured, most often seconds."""


def in_turn(trials: Mapping[str, Trial], rounds: int, *, warm_up: int = 1) -> dict[str, list[float]]:
    """Run every trial once a round (A B C A B C …); what each measured, by round.

    The first `warm_up` rounds are run and forgotten: they pay for imports, plans and cold caches.
    """
    measured: dict[str, list[float]] = {name: [] for name in trials}
    for number in range(warm_up + rounds):
        for name, trial in trials.items():
            value = trial()
            if number >= warm_up:
                measured[name].append(value)
    return measured


class Watch:
    """A stopwatch: `seconds` is what passed inside `running`, summed up."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let it run."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - started


def seconds_of(work: Callable[[], object]) -> float:
    """How long `work` takes, once."""
    watch = Watch()
    with watch.running():
        work()
    return watch.seconds


class Estimate(NamedTuple):
    """A median and the quartiles around it."""

    median: float
    low: float
    high: float

    @property
    def noise(self) -> float:
        """The distance of the quartiles as a share of the median."""
        return (self.high - self.low) / self.median if self.median else 0.0


def estimate(values: Sequence[float]) -> Estimate:
    """The median of measured values and their quartiles; a single value is all three."""
    if len(values) == 1:
        return Estimate(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Estimate(median, low, high)


def paired_ratio(values: Sequence[float], base: Sequence[float]) -> Estimate:
    """How many times `base` the values are: the estimate over the ratios of each round."""
    return estimate([value / of for value, of in zip(values, base, strict=True)])
