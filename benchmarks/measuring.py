"""Measure contestants in alternation, so that disturbances of the machine affect all of them.

Pure except for the clock. A ratio is computed per round and then its median is taken: a slow minute affects
both sides of a round, so that its effect cancels out.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

Trial = Callable[[], float]
"""Prepares outside the measured time, works once, and returns the measured value, usually seconds."""


def in_turn(trials: Mapping[str, Trial], rounds: int, *, warm_up: int = 1) -> dict[str, list[float]]:
    """Run every trial once per round (A B C A B C …); return the values of each round.

    The first `warm_up` rounds are dropped: they include imports, query planning and cold caches.
    """
    measured: dict[str, list[float]] = {name: [] for name in trials}
    for number in range(warm_up + rounds):
        for name, trial in trials.items():
            value = trial()
            if number >= warm_up:
                measured[name].append(value)
    return measured


def seconds_of(work: Callable[[], object]) -> float:
    """The duration of one call of `work`."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median_ratio(values: Sequence[float], base: Sequence[float]) -> float:
    """The median of the ratios of the values to `base`, round by round."""
    return median(value / of for value, of in zip(values, base, strict=True))
