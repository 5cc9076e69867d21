"""Writes docs/schedules.md: the explored pairs, and how many schedules notice the removal of each guard."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from local_stack.builds import REPOSITORY
from local_stack.steps import console
from tests.mutants.__main__ import BrokenCheckError, Testimony, examined
from tests.mutants.guards import MUTANTS
from tests.schedules.explorer import Explored
from tests.schedules.situations import SITUATIONS

DOCUMENT = REPOSITORY / "docs/schedules.md"

_PAIRS = "tests/schedules/pairs.py"

_NOTICED = re.compile(r"(\d+) of \d+ schedules; the first:\s+make schedules SCHEDULE='([^']+)'")

_SITUATIONS = """\
# Explored schedules

`python -m tests.schedules --report` explores the pairs of `make schedules` and writes this file. Real
functions, or writes of the product, meet in a situation on a real PostgreSQL; S3 and Step Functions are
emulated. Each pair is played in every order of its statements, COMMITs and requests with at most one
preemption, and with a crash of either actor after each lasting effect. The invariants are checked at once and
after everything has ended. No schedule broke one.
[How to read and add them](../CONTRIBUTING.md#add-an-actor-to-the-schedules).

| situation | what has happened | pairs | schedules | crashes | distinct final states |
| --- | --- | ---: | ---: | ---: | ---: |
"""

_GUARDS = f"""
## Guards

Each guard is removed from a copy of the code, and its pairs of `{_PAIRS}` are explored. Guards of other kinds
have other tests: `make mutants` names them.

| guard | without it | schedules that notice | the first of them |
| --- | --- | ---: | --- |
"""


_LIMITS = """
## Not explored

The threads of one step: Generate and Save call their thread pools one after the other here. The threads of a
process share its connection, so their transactions do not overlap, and each handles another item, with keys
of its own: another order of the threads is another order of the items.
`tests/integration/test_item_locks.py` runs two invocations of Generate with real threads.

Two locks, which no schedule misses (`make schedules SCHEDULES=save`, or `sweep`, without them):

- Save's lock of the roadmap. The triggers of the content tables take the same lock, in shared mode. Save
  takes it because it must know whether the roadmap exists before any row is written.
- The sweep's lock of a task. It keeps the sweep from waiting, not from writing: its writes compare the
  attempt. `test_a_sweep_skips_locked_tasks_and_retries_them_at_its_end` notices its removal.

More than one preemption, and more than two actors, are only sampled (`make schedules MINUTES=10`).
"""


def write_report(results: Iterable[tuple[str, Explored]]) -> None:
    """Write the document; `results` are the explored pairs, each with its situation.

    Raises:
        BrokenCheckError: no schedule notices the removal of a guard.
    """
    situations = "".join([_SITUATIONS, *_situations(list(results))])
    DOCUMENT.write_text(situations + _LIMITS)
    guards = "".join([_GUARDS, *_guards()])
    DOCUMENT.write_text(situations + guards + _LIMITS)


def _situations(results: list[tuple[str, Explored]]) -> Iterator[str]:
    for name, situation in SITUATIONS.items():
        found = [explored for situated, explored in results if situated == name]
        if found:
            sums = (
                sum(getattr(explored, count) for explored in found)
                for count in ("schedules", "crashes", "states")
            )
            yield f"| {name} | {situation.described} | {len(found)} | {' | '.join(map(str, sums))} |\n"


def _guards() -> Iterator[str]:
    of_pairs = (
        replace(mutant, tests=tuple(test for test in mutant.tests if test.startswith(_PAIRS)))
        for mutant in MUTANTS
    )
    for mutant, found in examined([mutant for mutant in of_pairs if mutant.tests]):
        how = "\n".join(found.noticed.values()) if isinstance(found, Testimony) else str(found)
        noticed = _NOTICED.findall(how)
        if not noticed:
            raise BrokenCheckError(f"{mutant.guard}: {mutant.removed}: no schedule notices it: {how}")
        count = sum(int(schedules) for schedules, _ in noticed)
        row = f"| {mutant.guard} | {mutant.removed} | {count} | `{noticed[0][1]}` |\n"
        console.print(row, end="", markup=False, soft_wrap=True)
        yield row
