"""The report of both matrices: tables on the terminal and `docs/faults.md`."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import ndiff
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from local_stack.builds import REPOSITORY
from tests.faults.matrix.declaration import STEPS
from tests.faults.matrix.matrix import Matrix, Row
from tests.faults.matrix.recoveries import RECOVERIES

DOCUMENT = REPOSITORY / "docs/faults.md"
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

`make faults` runs it, prints this table, and fails if the table differs from this file.
`make faults FAULTS_REPORT=write` writes this file: do not edit it.

*How it ended*: the execution's status, or the response of the called function; then the task's final status.
*Saved* and *failed*: the items at that time; *healed*: the items that the one retry saved. The definition is
`statemachine/save_content.asl.json` as it is shipped, with all of its retries: each cell asserts it. Only
times are shorter than deployed: functions have seconds, sessions have tenths of seconds, and what the state
machine waits before a retry takes a thousandth of the time.
"""

_RECOVERY_INTRODUCTION = """\
## Recoveries

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
{run} cells of {all} are run.

Where a column differs between the COMMITs of a step, its values are joined by "or". *Attempts*: who started
the task's attempts after the first, before that retry.
"""


class Reported(NamedTuple):
    """A matrix, and its part of the document."""

    name: str
    """The property of a test's report with the row of its cell."""

    matrix: Matrix[Any, Any]
    title: str
    headings: Sequence[str]
    introduction: str
    not_run: str
    """The heading of the cells that are not run."""

    def in_order(self, rows: Iterable[Row]) -> list[Row]:
        """The rows in the order of the cells."""
        places = {(cell.step, cell.fault): place for place, cell in enumerate(self.matrix.run)}
        return sorted(rows, key=lambda row: places[row[0], row[1]])

    def is_complete(self, rows: Sequence[Row]) -> bool:
        """Whether every cell was run."""
        return len(rows) >= len(self.matrix.run)

    def render(self, rows: Iterable[Row]) -> str:
        """The part of the document."""
        introduction = self.introduction.format(run=len(self.matrix.run), all=len(self.matrix.cells))
        cells = _table(self.headings, self.in_order(rows))
        not_run = _table(("step", "faults", "why not"), self.matrix.not_run())
        return "\n".join([introduction, *cells, "", self.not_run, "", *not_run, ""])


REPORTED = (
    Reported(
        "fault_cell",
        STEPS,
        "The fault matrix",
        ("step", "fault", "what was injected", "how it ended", "saved", "failed", "healed"),
        _INTRODUCTION,
        "## Cells that are not run",
    ),
    Reported(
        "recovery_cell",
        RECOVERIES,
        "The matrix of recoveries",
        (
            "step",
            "fault",
            "what was injected",
            "times",
            "the recovery: its result of the task",
            "the task",
            "attempts",
        ),
        _RECOVERY_INTRODUCTION,
        "### Cells of recoveries that are not run",
    ),
)

Results = Mapping[str, list[Row]]
"""The rows of each matrix, by its name."""


def is_complete(results: Results) -> bool:
    """Whether every cell was run, of at least one matrix."""
    return any(reported.is_complete(results[reported.name]) for reported in REPORTED)


def render(results: Results, document: Path = DOCUMENT) -> str:
    """`docs/faults.md` for these results. The part of a matrix that was not run stays as it is."""
    written = document.read_text() if document.exists() else ""
    steps, heading, recoveries = written.partition("\n## Recoveries\n")
    parts = (steps, f"{heading}{recoveries}".removeprefix("\n"))
    return "\n".join(
        reported.render(rows) if reported.is_complete(rows := results[reported.name]) else part
        for reported, part in zip(REPORTED, parts, strict=True)
    )


def differences(results: Results, document: Path = DOCUMENT) -> list[str]:
    """The superfluous (`-`) and missing (`+`) lines of the document; empty if it is up to date.

    Of a matrix of which a part was run, the document must have the rows of this part.
    """
    said = document.read_text().splitlines() if document.exists() else []
    if not is_complete(results):
        lines = [_row(row) for rows in results.values() for row in rows]
        return [f"+ {line}" for line in lines if line not in said]
    compared = ndiff(said, render(results, document).splitlines())
    return [line for line in compared if line.startswith(("- ", "+ "))]


def show(results: Results, console: Console) -> None:
    """Print the tables."""
    for reported in REPORTED:
        table = Table(title=reported.title, title_justify="left")
        for heading in reported.headings:
            table.add_column(heading, justify="right" if heading in NUMBERS else "left", overflow="fold")
        for row in reported.in_order(results[reported.name]):
            table.add_row(*row)
        if table.row_count:
            console.print(table)


def _table(headings: Sequence[str], rows: Iterable[Row]) -> list[str]:
    rule = ("---:" if heading in NUMBERS else "---" for heading in headings)
    return [_row(headings), _row(rule), *map(_row, rows)]


def _row(columns: Iterable[str]) -> str:
    return f"| {' | '.join(columns)} |"
