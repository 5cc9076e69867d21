"""`roadmap tasks`, `failures`, `show`, `attempts`, `cancel`, `watch`: list and follow tasks, through the
API.
"""

import time
from itertools import islice
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from local_stack.errors import RefusedError
from roadmap_command.commands.history import ITEM_FORM, MOST_ATTEMPTS, explanation, parse_item
from roadmap_command.commands.recoveries import print_change
from roadmap_command.filter_options import filtered
from roadmap_command.interface import (
    ExitCode,
    Json,
    OptionalTaskId,
    RecoveryOption,
    Stack,
    TaskId,
    command_name,
    continues_without_us,
    errors,
    output,
    print_json,
)
from roadmap_command.target import Target
from roadmap_command.views import counted, fitted, in_words, of_types, time_text
from roadmap_content.contracts.api.tasks import TaskRow, TaskStatus
from roadmap_content.contracts.states import RINGING_STATES, GroupState

group = typer.Typer()

Limit = Annotated[int, typer.Option("--limit", min=1, help="Rows to show.")]

MAX_PAGE = 200
MAX_CONCEPTS = 3_000
"""The largest pages of the API."""

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
    table = Table("task", "status", Column("missing", justify="right"), "reason", "title")
    for row in rows:
        table.add_row(
            row.task_id,
            row.status + (" (person)" if row.needs_person else ""),
            "" if row.progress is None else f"{row.progress.missing}/{row.progress.total}",
            _about(row),
            row.title or "",
        )
    console = output()
    console.print(fitted(table, console), soft_wrap=True)
    about = "" if page.total_is_exact else "about "
    console.print(f"{len(rows)} of {about}{counted(page.total, 'task')}")


def _about(row: TaskRow) -> str:
    """The main reason of a task's failures; for a task at work, its last change: one that hangs is old."""
    if row.status == "processing":
        return f"updated {row.updated_at:%Y-%m-%dT%H:%M}Z"
    reason = row.top_reason
    return "" if reason is None else f"{reason.error_code}: {reason.reason}"


@group.command()
@filtered
def failures(
    chosen: dict[str, Any],
    state: Annotated[
        list[GroupState] | None, typer.Option("--state", help="Only groups in this state. Repeatable.")
    ] = None,
    limit: Limit = 50,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """List current failures by group, with the state and the action of the next attempt for each."""
    groups = Target.named(stack).client().failures(state=state, limit=min(limit, MAX_PAGE), **chosen)
    rows = list(islice(groups, limit))
    if as_json:
        print_json({"items": rows})
        return
    console = output()
    for row in rows:
        console.print(
            Text.assemble(
                (row.state, "bold red" if row.state in RINGING_STATES else "dim"),
                (f"  {counted(row.items, 'item')} of {counted(row.tasks, 'task')}", "bold"),
                f"  {of_types(row.by_type)}  ",
                (row.error_code, "red"),
                f" ({row.stage}): {row.reason}\n  ",
                (row.remedy_text, "yellow" if row.needs_person else "green"),
                f"\n  group {row.group_id}, last seen {time_text(row.last_seen)}",
                "" if row.note is None else f"\n  {row.state_by}: {row.note}",
            )
        )
    if not rows:
        console.print("No task fails.")


@group.command()
def show(
    task_id: TaskId,
    item: Annotated[str | None, typer.Argument(metavar="[ITEM]", help=f"An item: {ITEM_FORM}.")] = None,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Show a task's items by state and reason, or one item with all its data."""
    client = Target.named(stack).client()
    if item is not None:
        wanted = parse_item(item)
        found = client.item(task_id, None, wanted.concept_id, wanted.content_type)
        if as_json:
            print_json(found)
            return
        for line in explanation(found):
            output().print(line, soft_wrap=True)
        return
    task = client.status(task_id)
    items = next(client.items(task_id, states_only=True, limit=MAX_CONCEPTS))
    if as_json:
        print_json({"task": task, "items": items})
        return
    console = output()
    console.print(f"task {task_id}, attempt {task.attempt}: {task.status}  {task.title or ''}")
    names = {
        "S": "saved",
        "T": "staged",
        "M": "missing",
        "R": "rejected",
        "G": "generating",
        "F": "failed",
    }
    counts = {name: items.states.count(letter) for letter, name in names.items()}
    console.print(", ".join(f"{count} {name}" for name, count in counts.items() if count))
    for reason in items.reasons:
        console.print(
            Text.assemble(
                f"  {of_types(reason.by_type)}: ",
                (reason.error_code, "red"),
                f" ({reason.stage}): {reason.reason}\n    {reason.remedy_text}",
            )
        )


@group.command()
def attempts(task_id: TaskId, stack: Stack = None, as_json: Json = False) -> None:
    """List a task's attempts: actor, cause, outcome, counts and reason."""
    rows = list(islice(Target.named(stack).client().attempts(task_id, limit=MAX_PAGE), MOST_ATTEMPTS))
    if as_json:
        print_json({"items": rows})
        return
    table = Table(
        "attempt", "actor", "cause", "outcome", "planned", "saved", "failed", "generated", "tokens", "reason"
    )
    for row in rows:
        counts = [
            "" if count is None else str(sum(count.values()))
            for count in (row.planned, row.saved, row.failed, row.generated)
        ]
        table.add_row(
            str(row.attempt),
            row.actor,
            row.cause,
            row.outcome or row.step,
            *counts,
            str(row.tokens),
            row.reason or "",
        )
    console = output()
    console.print(fitted(table, console), soft_wrap=True)


@group.command()
def cancel(
    task_id: OptionalTaskId = None,
    recovery_id: RecoveryOption = None,
    reason: Annotated[str, typer.Option("--reason", help="The reason, for the audit trail.")] = "",
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Cancel a task: stop its execution and start no further item. With `--recovery`, cancel a recovery
    instead: start no further task, permanently; running tasks continue.
    """
    if (task_id is None) == (recovery_id is None):
        raise RefusedError("name a task, or a recovery with --recovery")
    if recovery_id is not None:
        if reason:
            raise RefusedError("--reason is for the audit trail of a task, not for a recovery")
        print_change(Target.named(stack).client().cancel_recovery(recovery_id), as_json=as_json)
        return
    answer = Target.named(stack).client().cancel(task_id or "", reason=reason or None)
    if as_json:
        print_json(answer)
    else:
        output().print(f"task {task_id}: {answer.status}")


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
        errors.print(hint, soft_wrap=True)
    if as_json:
        print_json(task)
    if any(progress.missing for progress in task.progress.values()):
        raise typer.Exit(ExitCode.ITEMS_MISSING)


def watched(task: TaskStatus) -> Text:
    """A task's state in one line."""
    saved = sum(progress.saved for progress in task.progress.values())
    total = sum(progress.total for progress in task.progress.values())
    line = f"attempt {task.attempt}: {task.status}, {saved} of {total} items are saved"
    if task.queue is not None:
        line += f"; {in_words(task.queue)}"
    if task.generation_stopped is not None:
        line += f". {task.generation_stopped}"
    return Text(line)
