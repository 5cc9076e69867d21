"""The report of both matrices: tables on the terminal and `docs/faults.md`."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import ndiff
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from local_stack.builds import REPOSITORY
from tests.faults.matrix.declaration import CELLS, IMPOSSIBLE, RUN
from tests.faults.matrix.play import Result
from tests.faults.matrix.recoveries import (
    RECOVERY_CELLS,
    RECOVERY_RUN,
    RecoveryResult,
    reasons,
)

DOCUMENT = REPOSITORY / "docs/faults.md"

HEADINGS = ("step", "fault", "what was injected", "how it ended", "saved", "failed", "healed")
RECOVERY_HEADINGS = (
    "step",
    "fault",
    "what was injected",
    "times",
    "the recovery: its result of the task",
    "the task",
    "attempts",
)
NUMBERS = ("saved", "failed", "healed", "times")
"""The columns of numbers."""

_INTRODUCTION = """\
# The fault matrix

Every step × every fault: injected by real means into the real state machine, functions and PostgreSQL on
the local stack, where S3, Lambda and Step Functions are emulated. A cell is a task of four concepts, and
thus twelve items. After the fault, an oracle that shares no code with the system checks the invariants I1–I6
on the tables and the bucket. Then the fault is removed, and one retry (one redrive, if the step
is Finalize or AwaitRedrive) must complete the task without generating an item twice. {run} cells of {all}
are run; the second table gives the reasons for the others. [Recoveries](#recoveries) have a matrix of their
own.

`make faults` runs it, prints this table, and fails if the table differs from this file. `make faults-report`
writes this file: do not edit it.

*How it ended*: the execution's status, or the response of the called function; then the task's final status.
*Saved* and *failed*: the items at that time; *healed*: the items that the one retry saved. The definition is
`statemachine/save_content.asl.json` as it is shipped, with all of its retries: each cell asserts it. Only
times are shorter than deployed: functions have seconds, sessions have tenths of seconds, and what the state
machine waits before a retry takes a thousandth of the time.
"""

_RECOVERIES = "## Recoveries"

_RECOVERY_INTRODUCTION = f"""\
{_RECOVERIES}

Every step of a recovery (its creation, the start of its tasks, the end of its runs, its changes, and the
sweep) × every fault. PostgreSQL, the steps and the faults are real; executions are a
model, emulated from documentation, and a step that fails is not repeated. A cell is repeated for
each COMMIT of its step, each time with another recovery and the fault at that COMMIT: *times* is their
number. The recovery retries a task of two concepts of which one quiz is invalid, and another one without a
roadmap, which it must refuse. Before a restore and an undo, it has regenerated the quizzes of the completed
task; after the fault, the request is repeated, and must have restored each of them once.

After the fault come sweeps and runs. Then each recovery must have ended, and each of its tasks must
have a final result, which names the attempt that the audit trail names; the oracle checks I1–I6, I9 and
I10. If the task is not complete by then, one retry must complete it, and nothing may be generated twice.
{{run}} cells of {{all}} are run.

Where a column differs between the COMMITs of a step, its values are joined by "or". *Attempts*: who started
the task's attempts after the first, before that retry.
"""


class Results(NamedTuple):
    """The results of both matrices."""

    cells: list[Result]
    recoveries: list[RecoveryResult]

    @property
    def complete(self) -> bool:
        """Whether every cell of a matrix was run, of at least one of them."""
        return self.has_cells or self.has_recoveries

    @property
    def has_cells(self) -> bool:
        """Whether every cell of the steps was run."""
        return len(self.cells) >= len(RUN)

    @property
    def has_recoveries(self) -> bool:
        """Whether every cell of the recoveries was run."""
        return len(self.recoveries) >= len(RECOVERY_RUN)


def render(results: Results, document: Path = DOCUMENT) -> str:
    """`docs/faults.md` for these results. The part of a matrix that was not run stays as it is."""
    written = document.read_text() if document.exists() else ""
    cells, heading, recoveries = written.partition(_RECOVERIES)
    if results.has_cells:
        cells = _render_cells(results.cells)
    if results.has_recoveries:
        heading, recoveries = "", _render_recoveries(results.recoveries)
    return cells + heading + recoveries


def _render_cells(results: Iterable[Result]) -> str:
    found = {(result.step, result.fault): result for result in results}
    lines = [_row(HEADINGS), _rule(HEADINGS)]
    lines += [
        _row(_columns(found[cell.step, cell.fault])) for cell in RUN if (cell.step, cell.fault) in found
    ]
    impossible: dict[tuple[str, str], list[str]] = {}
    for cell in CELLS:
        if reason := IMPOSSIBLE.get(cell):
            impossible.setdefault((cell.step, reason), []).append(cell.fault)
    not_run = [(step, ", ".join(faults), reason) for (step, reason), faults in impossible.items()]
    introduction = _INTRODUCTION.format(run=len(RUN), all=len(CELLS))
    return "\n".join([introduction, *lines, "", "## Cells that are not run", "", *_table_of(not_run), "", ""])


def _render_recoveries(results: Iterable[RecoveryResult]) -> str:
    found = {(result.step, result.fault): result for result in results}
    lines = [_row(RECOVERY_HEADINGS), _rule(RECOVERY_HEADINGS)]
    lines += [
        _row(_recovery_columns(found[cell.step, cell.fault]))
        for cell in RECOVERY_RUN
        if (cell.step, cell.fault) in found
    ]
    introduction = _RECOVERY_INTRODUCTION.format(run=len(RECOVERY_RUN), all=len(RECOVERY_CELLS))
    not_run = ["", "### Cells of recoveries that are not run", "", *_table_of(reasons()), ""]
    return "\n".join([introduction, *lines, *not_run])


def differences(results: Results, document: Path = DOCUMENT) -> list[str]:
    """The superfluous (`-`) and missing (`+`) lines of the document; empty if it is up to date.

    Of a matrix of which a part was run, the document must have the rows of this part.
    """
    said = document.read_text().splitlines() if document.exists() else []
    if not results.complete:
        rows = [*map(_columns, results.cells), *map(_recovery_columns, results.recoveries)]
        return [f"+ {_row(row)}" for row in rows if _row(row) not in said]
    compared = ndiff(said, render(results, document).splitlines())
    return [line for line in compared if line.startswith(("- ", "+ "))]


def show(results: Results, console: Console) -> None:
    """Print the tables."""
    order: Mapping[tuple[str, str], int] = {(cell.step, cell.fault): place for place, cell in enumerate(RUN)}
    cells = sorted(results.cells, key=lambda result: order[result.step, result.fault])
    _show("The fault matrix", HEADINGS, map(_columns, cells), console)
    order = {(cell.step, cell.fault): place for place, cell in enumerate(RECOVERY_RUN)}
    recoveries = sorted(results.recoveries, key=lambda result: order[result.step, result.fault])
    _show("The matrix of recoveries", RECOVERY_HEADINGS, map(_recovery_columns, recoveries), console)


def _show(title: str, headings: Sequence[str], rows: Iterable[list[str]], console: Console) -> None:
    table = Table(title=title, title_justify="left")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in NUMBERS else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    if table.row_count:
        console.print(table)


def _columns(result: Result) -> list[str]:
    counts = (str(count) for count in (result.saved, result.failed, result.healed))
    return [result.step, result.fault, result.injected, result.ended, *counts]


def _recovery_columns(result: RecoveryResult) -> list[str]:
    said = (result.recovery, result.task, result.attempts)
    return [result.step, result.fault, result.injected, str(result.places), *said]


def _table_of(not_run: Iterable[tuple[str, str, str]]) -> list[str]:
    headings = ("step", "faults", "why not")
    return [_row(headings), _rule(headings), *(_row(row) for row in not_run)]


def _rule(headings: Sequence[str]) -> str:
    return _row("---:" if heading in NUMBERS else "---" for heading in headings)


def _row(columns: Iterable[str]) -> str:
    return f"| {' | '.join(columns)} |"
