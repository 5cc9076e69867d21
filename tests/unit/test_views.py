"""Lists: on a terminal no cell is cut, however narrow it is; in a pipe no cell is padded."""

import io

from rich.console import Console
from rich.table import Column, Table

from roadmap_command.views import fitted

TASK_ID = "925bf0ca-f462-5bdd-a653-4b32c3663a3a"
REASON = "InvalidContent: questions[0]: correct_answer 5 is not an index of the 2 options"


def printed(width: int, *, terminal: bool = True) -> str:
    table = Table("task", "status", Column("missing", justify="right"), "reason", "title")
    table.add_row(TASK_ID, "partial_failure", "2/90", REASON, "Serverless Python in production")
    table.add_row("t-1", "completed", "0/3", "", "Python")
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    console.print(fitted(table, console), soft_wrap=True)
    file = console.file
    assert isinstance(file, io.StringIO)
    return file.getvalue()


def test_a_table_that_does_not_fit_is_one_block_for_each_row_and_nothing_is_cut() -> None:
    assert printed(80).splitlines() == [
        f"task {TASK_ID}",
        "  status: partial_failure",
        "  missing: 2/90",
        f"  reason: {REASON}",
        "  title: Serverless Python in production",
        "task t-1",
        "  status: completed",
        "  missing: 0/3",
        "  title: Python",
    ]


def test_a_piped_table_has_a_line_for_each_row_without_padding() -> None:
    assert printed(100_000, terminal=False).splitlines() == [
        "task\tstatus\tmissing\treason\ttitle",
        f"{TASK_ID}\tpartial_failure\t2/90\t{REASON}\tServerless Python in production",
        "t-1\tcompleted\t0/3\t\tPython",
    ]
