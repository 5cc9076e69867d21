"""`roadmap tasks`, `failures`, `cancel`, `watch`: list and follow tasks, through the API."""

import time
from typing import Any

import typer
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from local_stack.errors import RefusedError
from roadmap_command.commands.history import MAX_PAGE
from roadmap_command.commands.recoveries import print_change
from roadmap_command.filter_options import filtered
from roadmap_command.interface import (
    ExitCode,
    Json,
    Limit,
    OptionalRecovery,
    OptionalTaskId,
    Reason,
    Stack,
    TaskId,
    command_name,
    continues_without_us,
    errors,
    print_answer,
    print_json,
    print_table,
)
from roadmap_command.target import Target
from roadmap_command.views import counted, in_words, time_text, word_of
from roadmap_content.contracts.api.tasks import TaskRow, TaskStatus

group = typer.Typer()

POLL_SECONDS = 1.0
PENDING_SECONDS = 30.0
"""The time that `watch` waits for a pending task: an execution claims its attempt in its first step."""


@group.command()
@filtered
def tasks(
    chosen: dict[str, Any],
    limit: Limit = 50,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """List tasks, newest first."""
    rows: list[TaskRow] = []
    for page in Target.named(stack).client().task_pages(limit=min(limit, MAX_PAGE), **chosen):
        rows = [*rows, *page.items][:limit]
        if len(rows) == limit:
            break
    if as_json:
        print_json({"items": rows, "total": page.total, "total_is_exact": page.total_is_exact})
        return
    table = Table("task", "status", "next", Column("missing", justify="right"), "reason", "title")
    for row in rows:
        table.add_row(
            row.task_id,
            "erased" if row.erased else word_of(row.status),
            row.turn.who + (f" {time_text(row.turn.at)}" if row.turn.at else ""),
            "" if row.progress is None else f"{row.progress.missing}/{row.progress.total}",
            _about(row),
            row.title or "",
        )
    print_table(table)
    about = "" if page.total_is_exact else "about "
    errors.print(f"{len(rows)} of {about}{counted(page.total, 'task')}")


def _about(row: TaskRow) -> str:
    """The main reason of a task's failures; for a task at work, its last change: one that hangs is old."""
    if row.status == "processing":
        return f"updated {row.updated_at:%Y-%m-%dT%H:%M}Z"
    reason = row.top_reason
    return "" if reason is None else f"{reason.error_code}: {reason.reason}"


@group.command()
def cancel(
    task_id: OptionalTaskId = None,
    recovery_id: OptionalRecovery = None,
    reason: Reason = "",
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Cancel a task: stop its execution and start no further item. With `--recovery`, cancel a recovery
    instead: start no further task, permanently; running tasks continue.
    """
    if (task_id is None) == (recovery_id is None):
        raise RefusedError("name a task, or a recovery with --recovery")
    client = Target.named(stack).client()
    if recovery_id is not None:
        print_change(client.cancel_recovery(recovery_id, reason=reason or None), as_json=as_json)
        return
    answer = client.cancel(task_id or "", reason=reason or None)
    print_answer(answer, f"task {task_id}: {word_of(answer.status)}", as_json=as_json)


@group.command()
def watch(task_id: TaskId, stack: Stack = None, as_json: Json = False) -> None:
    """Follow a task until no attempt is running; exit with 1 if items are missing."""
    client = Target.named(stack).client()
    task = client.status(task_id)
    start_by = time.monotonic() + PENDING_SECONDS
    with (
        continues_without_us("The task", f"status {task_id}"),
        Live(console=errors, refresh_per_second=4) as live,
    ):
        while task.live or (task.status == "pending" and time.monotonic() < start_by):
            live.update(watched(task))
            time.sleep(POLL_SECONDS)
            task = client.status(task_id)
        live.update(watched(task))
    if not errors.is_terminal:
        errors.line()  # Live ends the line of a terminal only
    if task.status == "pending":
        hint = f"no attempt has started; start one with: {command_name()} run {task_id}"
        errors.print(hint)
    if as_json:
        print_json(task)
    if task.skipped_concepts or any(progress.missing for progress in task.progress.values()):
        raise typer.Exit(ExitCode.ITEMS_MISSING)


def watched(task: TaskStatus) -> Text:
    """A task's state in one line."""
    saved = sum(progress.saved for progress in task.progress.values())
    total = sum(progress.total for progress in task.progress.values())
    line = f"attempt {task.attempt}: {word_of(task.status)}, {saved} of {total} items are saved"
    if task.queue is not None:
        line += f"; {in_words(task.queue)}"
    if task.generation_stopped is not None:
        line += f". {task.generation_stopped}"
    return Text(line)
