"""`python -m tests.schedules [all | SITUATION | ACTOR | SCHEDULE]`: explore the schedules of pairs of actors.

Without an argument, the pairs of the merge gate; with a situation or an actor, all of its pairs; with a
schedule, only that one. The exit code is 1 if something is wrong after a schedule.
"""

import logging
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import combinations_with_replacement
from typing import NamedTuple

from rich.console import Console

from tests.schedules.explorer import Explored, Explorer, Violation
from tests.schedules.schedule import InvalidScheduleError, Schedule
from tests.schedules.situations import SITUATIONS
from tests.schedules.template import new_database, template_database

PROCESSES = 2
_SIDE = 70

console = Console(width=180, highlight=False, markup=False, soft_wrap=True)


class Pair(NamedTuple):
    """Two actors that meet in a situation."""

    situation: str
    first: str
    second: str


def pairs(*, every: bool) -> list[Pair]:
    """The pairs to explore."""
    return [
        Pair(name, *actors)
        for name, situation in SITUATIONS.items()
        for actors in combinations_with_replacement(situation.gate + situation.nightly * every, 2)
    ]


_explorers: dict[str, Explorer] = {}
"""Of this process, by situation."""


def _explorer(server_url: str, situation: str) -> Explorer:
    if situation not in _explorers:
        _explorers[situation] = Explorer(new_database(server_url), situation)
    return _explorers[situation]


def _explore(server_url: str, pair: Pair) -> Explored:
    return _explorer(server_url, pair.situation).explore(pair.first, pair.second)


def explored(server_url: str, wanted: list[Pair]) -> Iterator[Explored]:
    """Explore pairs in two processes; their results in order."""
    with ProcessPoolExecutor(PROCESSES) as pool:
        yield from pool.map(partial(_explore, server_url), wanted)


def main(wanted: str = "") -> int:
    """Explore, or play one schedule; return the exit code."""
    logging.disable(logging.CRITICAL)
    began = time.monotonic()
    with template_database() as server_url:
        if "/" not in wanted:
            chosen = pairs(every=wanted != "")
            results = []
            for result in explored(server_url, [pair for pair in chosen if wanted in ("", "all", *pair)]):
                results.append(result)
                console.print(str(result))
                for violation in result.violations:
                    console.print(told(violation))
            console.print(
                f"{len(results)} pairs, {sum(r.schedules for r in results)} schedules, "
                f"{sum(r.crashes for r in results)} crashes, "
                f"{sum(r.states for r in results)} distinct final states, "
                f"{sum(len(r.violations) for r in results)} violations, "
                f"{time.monotonic() - began:.0f} seconds"
            )
            return int(any(result.violations for result in results))
        schedule = Schedule.parse(wanted)
        explorer = _explorer(server_url, schedule.situation)
        violation = explorer.replay(schedule)
        explorer.close()
    console.print(told(violation))
    return int(bool(violation.broken))


def told(violation: Violation) -> str:
    """A schedule, the broken invariants, and the steps of both actors side by side."""
    schedule = violation.schedule
    lines = [f"make schedules SCHEDULE='{schedule}'"]
    lines += [f"  {line}" for line in violation.broken]
    lines.append(f"  {schedule.first.actor:{_SIDE}} | {schedule.second.actor}")
    for process, label in violation.trace:
        sides = ["", ""]
        sides[process] = label[:_SIDE]
        lines.append(f"  {sides[0]:{_SIDE}} | {sides[1]}".rstrip())
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:2]))
    except InvalidScheduleError as error:
        sys.exit(str(error))
