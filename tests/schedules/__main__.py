"""`python -m tests.schedules [all | third | samples | SITUATION | ACTOR | SCHEDULE]`: explore schedules.

Without an argument, the pairs of `make schedules`; `third`: of all pairs, a third that changes each day, for
the nightly run; with a situation or an actor, all of its pairs; with a schedule, only that one. `--minutes`
draws schedules with two preemptions and of three actors afterwards, by `--seed`; `samples` draws only those.
The exit code is 1 if something is wrong after a schedule.
"""

import argparse
import logging
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import combinations_with_replacement, groupby, islice
from random import Random
from typing import NamedTuple

from rich.console import Console

from tests.schedules.explorer import Explored, Explorers
from tests.schedules.schedule import InvalidScheduleError, Schedule
from tests.schedules.situations import SITUATIONS
from tests.schedules.template import Template, template_database

PROCESSES = 2
_DRAWN = 12
"""Schedules that are drawn for each sample."""

console = Console(width=180, highlight=False, markup=False, soft_wrap=True)


class Meeting(NamedTuple):
    """Actors that meet in a situation."""

    situation: str
    actors: tuple[str, ...]
    seed: float | None = None
    """With a seed, a sample of their schedules; without one, all schedules of a pair."""


def pairs(*, every: bool) -> list[Meeting]:
    return [
        Meeting(name, actors)
        for name, situation in SITUATIONS.items()
        for actors in combinations_with_replacement(situation.gate + situation.nightly * every, 2)
    ]


def samples(seed: int) -> Iterator[Meeting]:
    """Two or three actors of a situation, without an end."""
    dice = Random(seed)  # noqa: S311 - not a secret
    while True:
        name = dice.choice(list(SITUATIONS))
        actors = SITUATIONS[name].gate + SITUATIONS[name].nightly
        yield Meeting(name, tuple(dice.choices(actors, k=dice.choice((2, 3)))), dice.random())


_explorers: Explorers
"""Of a process of the pool."""


def _begin(template: Template) -> None:
    global _explorers
    _explorers = Explorers(template)


def _explore(meeting: Meeting) -> Explored:
    explorer = _explorers(meeting.situation)
    if meeting.seed is None:
        first, second = meeting.actors
        return explorer.explore(first, second)
    return explorer.sample(meeting.actors, Random(meeting.seed), _DRAWN)  # noqa: S311 - not a secret


def _explore_all(meetings: Sequence[Meeting]) -> list[Explored]:
    return [_explore(meeting) for meeting in meetings]


def explored(
    template: Template, wanted: Iterable[Meeting], sampled: Iterator[Meeting], seconds: float
) -> Iterator[Explored]:
    """Explore pairs in two processes, then samples for some time. The results are in a fixed order.

    The pairs of a situation are explored by one process, because many of their final states are the same. The
    situations with the most pairs come first, so that both processes end at about the same time.
    """
    with ProcessPoolExecutor(PROCESSES, initializer=_begin, initargs=(template,)) as pool:
        situations = [tuple(group) for _, group in groupby(wanted, lambda pair: pair.situation)]
        situations.sort(key=len, reverse=True)
        for found in pool.map(_explore_all, situations):
            yield from found
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            yield from pool.map(_explore, list(islice(sampled, 4 * PROCESSES)))


def main(wanted: str = "", seconds: float = 0, seed: int = 0) -> int:
    """Explore, or play one schedule; return the exit code."""
    logging.disable(logging.CRITICAL)
    if "/" in wanted:
        return _play_again(Schedule.parse(wanted))
    began = time.time()
    chosen = [
        pair
        for number, pair in enumerate(pairs(every=wanted != ""))
        if wanted in ("", "all", pair.situation, *pair.actors)
        or (wanted == "third" and number % 3 == began // 86_400 % 3)
    ]
    if not chosen and wanted != "samples":
        raise InvalidScheduleError(f"{wanted!r} is no situation, actor or schedule")
    if seconds:
        console.print(f"SCHEDULES_SEED={seed}")
    every: list[Explored] = []
    with template_database() as template:
        for result in explored(template, chosen, samples(seed), seconds):
            every.append(result)
            console.print(str(result))
            # The first schedule of each kind of violation.
            for violation in {str(each.broken): each for each in reversed(result.violations)}.values():
                console.print(str(violation))
    violations = sum(len(result.violations) for result in every)
    samples_played = f"{len(every) - len(chosen)} samples, " if seconds else ""
    console.print(
        f"{len(chosen)} pairs, {samples_played}{sum(result.schedules for result in every)} schedules, "
        f"{sum(result.crashes for result in every)} crashes, {sum(result.states for result in every)} "
        f"distinct final states, {violations} violations, {time.time() - began:.0f} seconds"
    )
    return int(violations > 0)


def _play_again(schedule: Schedule) -> int:
    with template_database() as template:
        explorers = Explorers(template)
        violation = explorers(schedule.situation).replay(schedule)
        explorers.close()
    console.print(str(violation))
    return int(bool(violation.broken))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog="python -m tests.schedules", description=__doc__)
    arguments.add_argument("wanted", nargs="?", default="")
    arguments.add_argument("--minutes", type=float, default=0, help="sample two preemptions and three actors")
    arguments.add_argument("--seed", type=int, default=0)
    given = arguments.parse_args()
    try:
        sys.exit(main(given.wanted, 60 * given.minutes, given.seed))
    except InvalidScheduleError as error:
        sys.exit(str(error))
