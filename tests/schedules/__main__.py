"""`python -m tests.schedules [all | samples | SITUATION | ACTOR | SCHEDULE]`: explore schedules of actors.

Without an argument, the pairs of `make schedules`; with a situation or an actor, all of its pairs; with a
schedule, only that one. `--minutes` draws schedules with two preemptions and of three actors afterwards, by
`--seed`; `samples` draws only those. The exit code is 1 if something is wrong after a schedule.
"""

import argparse
import logging
import sys
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from itertools import combinations_with_replacement, islice
from random import Random
from typing import NamedTuple

from rich.console import Console

from local_stack.builds import REPOSITORY
from tests.schedules.explorer import Explored, Explorer, Violation
from tests.schedules.schedule import InvalidScheduleError, Schedule
from tests.schedules.situations import SITUATIONS
from tests.schedules.template import new_database, template_database

PROCESSES = 2
_WIDTH = 140
_DRAWN = 12
"""Schedules that are drawn for each sample."""

DOCUMENT = REPOSITORY / "docs/schedules.md"

_INTRODUCTION = """\
# Explored schedules

`make schedules-report` explores the pairs of `make schedules` and writes this file: do not edit it. Real
functions, or writes of the product, meet in a situation on a real PostgreSQL; S3 and Step Functions are
emulated. Each pair is played in every order of its statements, COMMITs and requests with at most one
preemption, and with a crash of either actor after each lasting effect. The invariants are checked at once and
after everything has ended. No schedule broke one.
[How to read and add them](../CONTRIBUTING.md#add-an-actor-to-the-schedules).

| situation | what has happened | pairs | schedules | crashes | distinct final states |
| --- | --- | ---: | ---: | ---: | ---: |
"""

console = Console(width=180, highlight=False, markup=False, soft_wrap=True)


class Meeting(NamedTuple):
    """Actors that meet in a situation."""

    situation: str
    actors: tuple[str, ...]
    seed: float | None = None
    """With a seed, a sample of their schedules; without one, all schedules of a pair."""


def pairs(*, every: bool) -> list[Meeting]:
    """The pairs to explore."""
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


_explorers: dict[str, Explorer] = {}
"""Of this process, by situation."""


def _explorer(server_url: str, situation: str) -> Explorer:
    if situation not in _explorers:
        _explorers[situation] = Explorer(new_database(server_url), situation)
    return _explorers[situation]


def _explore(server_url: str, meeting: Meeting) -> Explored:
    explorer = _explorer(server_url, meeting.situation)
    if meeting.seed is None:
        return explorer.explore(*meeting.actors)
    return explorer.sample(meeting.actors, Random(meeting.seed), _DRAWN)  # noqa: S311 - not a secret


def explored(
    server_url: str, wanted: Iterable[Meeting], sampled: Iterator[Meeting], seconds: float
) -> Iterator[tuple[Meeting, Explored]]:
    """Explore pairs in two processes, then samples for some time; their results in order."""
    explore = partial(_explore, server_url)
    with ProcessPoolExecutor(PROCESSES) as pool:
        chosen = list(wanted)
        yield from zip(chosen, pool.map(explore, chosen), strict=True)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            chosen = list(islice(sampled, 4 * PROCESSES))
            yield from zip(chosen, pool.map(explore, chosen), strict=True)


def main(wanted: str = "", seconds: float = 0, seed: int = 0, *, report: bool = False) -> int:
    """Explore, or play one schedule; return the exit code."""
    logging.disable(logging.CRITICAL)
    if "/" in wanted:
        return _play_again(Schedule.parse(wanted))
    began = time.monotonic()
    chosen = [
        pair for pair in pairs(every=wanted != "") if wanted in ("", "all", pair.situation, *pair.actors)
    ]
    if not chosen and wanted != "samples":
        raise InvalidScheduleError(f"{wanted!r} is no situation, actor or schedule")
    if seconds:
        console.print(f"SCHEDULES_SEED={seed}")
    results: list[tuple[Meeting, Explored]] = []
    with template_database() as server_url:
        for meeting, result in explored(server_url, chosen, samples(seed), seconds):
            results.append((meeting, result))
            console.print(str(result))
            for violation in result.violations:
                console.print(told(violation))
    every = [result for _, result in results]
    violations = sum(len(result.violations) for result in every)
    samples_played = f"{len(every) - len(chosen)} samples, " if seconds else ""
    console.print(
        f"{len(chosen)} pairs, {samples_played}{_counts(every, ' schedules, ', ' crashes, ')} "
        f"distinct final states, {violations} violations, {time.monotonic() - began:.0f} seconds"
    )
    if report and not violations:
        DOCUMENT.write_text(_INTRODUCTION + "".join(_rows(results)))
    return int(violations > 0)


def _counts(results: list[Explored], *between: str) -> str:
    counts = [sum(getattr(result, name) for result in results) for name in ("schedules", "crashes", "states")]
    return f"{counts[0]}{between[0]}{counts[1]}{between[1]}{counts[2]}"


def _rows(results: list[tuple[Meeting, Explored]]) -> Iterator[str]:
    for name, situation in SITUATIONS.items():
        found = [result for meeting, result in results if meeting.situation == name]
        if not found:
            continue
        happened = " ".join((situation.make.__doc__ or "").split())
        yield f"| {name} | {happened} | {len(found)} | {_counts(found, ' | ', ' | ')} |\n"


def _play_again(schedule: Schedule) -> int:
    with template_database() as server_url:
        explorer = _explorer(server_url, schedule.situation)
        violation = explorer.replay(schedule)
        explorer.close()
    console.print(told(violation))
    return int(bool(violation.broken))


def told(violation: Violation) -> str:
    """A schedule, the broken invariants, and the steps of the actors side by side."""
    actors = [turn.actor for turn in violation.schedule.turns]
    side = _WIDTH // len(actors)

    def beside(columns: list[str]) -> str:
        return "  " + " | ".join(f"{column[:side]:{side}}" for column in columns).rstrip()

    steps = [["" for _ in actors] for _ in violation.trace]
    for columns, (process, label) in zip(steps, violation.trace, strict=True):
        columns[process] = label
    return "\n".join(
        [
            f"make schedules SCHEDULE='{violation.schedule}'",
            *(f"  {line}" for line in violation.broken),
            *map(beside, [actors, *steps]),
            "",
        ]
    )


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(prog="python -m tests.schedules", description=__doc__)
    arguments.add_argument("wanted", nargs="?", default="")
    arguments.add_argument("--minutes", type=float, default=0, help="sample two preemptions and three actors")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--report", action="store_true", help="write docs/schedules.md")
    given = arguments.parse_args()
    try:
        sys.exit(main(given.wanted, 60 * given.minutes, given.seed, report=given.report))
    except InvalidScheduleError as error:
        sys.exit(str(error))
