"""The report of the matrix: a table on the terminal and `docs/faults.md`."""

from collections.abc import Iterable, Mapping, Sequence
from difflib import ndiff
from pathlib import Path

from rich.console import Console
from rich.table import Table

from local_stack.builds import REPOSITORY
from tests.faults.matrix.declaration import CELLS, IMPOSSIBLE, RUN
from tests.faults.matrix.play import Result

DOCUMENT = REPOSITORY / "docs/faults.md"

HEADINGS = ("step", "fault", "what was injected", "how it ended", "saved", "failed", "healed")

_INTRODUCTION = """\
# The fault matrix

Every step × every fault: injected by real means into the real state machine, functions and PostgreSQL on
the local stack, where S3, Lambda and Step Functions are emulated. A cell is a task of four concepts, and
thus twelve items. After the fault, an oracle that shares no code with the system checks the invariants I1–I6
on the tables and the bucket. Then the fault is removed, and one retry (one redrive, if the step
is Finalize or AwaitRedrive) must complete the task without generating an item twice. {run} cells of {all}
are run; the second table gives the reasons for the others.

`make faults` runs it, prints this table, and fails if the table differs from this file. `make faults-report`
writes this file: do not edit it.

*How it ended*: the execution's status, or the response of the called function; then the task's final status.
*Saved* and *failed*: the items at that time; *healed*: the items that the one retry saved. Only the waiting
times are shorter than deployed: functions have seconds, sessions have tenths of seconds, and the state
machine retries once instead of up to ten times.
"""


def render(results: Iterable[Result]) -> str:
    """`docs/faults.md` for these results."""
    found = {(result.step, result.fault): result for result in results}
    lines = [_row(HEADINGS), _row(["---"] * 4 + ["---:"] * 3)]
    lines += [
        _row(_columns(found[cell.step, cell.fault])) for cell in RUN if (cell.step, cell.fault) in found
    ]
    reasons: dict[tuple[str, str], list[str]] = {}
    for cell in CELLS:
        if reason := IMPOSSIBLE.get(cell):
            reasons.setdefault((cell.step, reason), []).append(cell.fault)
    impossible = [_row(("step", "faults", "why not")), _row(["---"] * 3)]
    impossible += [_row((step, ", ".join(faults), reason)) for (step, reason), faults in reasons.items()]
    introduction = _INTRODUCTION.format(run=len(RUN), all=len(CELLS))
    return "\n".join([introduction, *lines, "", "## Cells that are not run", "", *impossible, ""])


def differences(results: Sequence[Result], document: Path = DOCUMENT) -> list[str]:
    """The superfluous (`-`) and missing (`+`) lines of the document; empty if it is up to date."""
    said = document.read_text().splitlines() if document.exists() else []
    compared = ndiff(said, render(results).splitlines())
    return [line for line in compared if line.startswith(("- ", "+ "))]


def show(results: Iterable[Result], console: Console) -> None:
    """Print the table."""
    table = Table(title="The fault matrix", title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading in HEADINGS[-3:] else "left", overflow="fold")
    order: Mapping[tuple[str, str], int] = {(cell.step, cell.fault): place for place, cell in enumerate(RUN)}
    for result in sorted(results, key=lambda result: order[result.step, result.fault]):
        table.add_row(*_columns(result))
    console.print(table)


def _columns(result: Result) -> list[str]:
    counts = (str(count) for count in (result.saved, result.failed, result.healed))
    return [result.step, result.fault, result.injected, result.ended, *counts]


def _row(columns: Iterable[str]) -> str:
    return f"| {' | '.join(columns)} |"
