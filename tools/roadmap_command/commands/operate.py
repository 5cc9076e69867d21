"""`roadmap tasks`, `failures`, `show`, `attempts`, `cancel`, `watch`: look at many tasks, through the API."""

import time
from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from roadmap_command.asking import ask, pages
from roadmap_command.interface import ExitCode, Json, Stack, TaskId, print_json
from roadmap_command.target import Target

group = typer.Typer()

Status = Annotated[list[str] | None, typer.Option("--status", help="Only tasks with one of these statuses.")]
ErrorCode = Annotated[str | None, typer.Option("--error", help="Only tasks with failures of this code.")]
ContentTypeOption = Annotated[str | None, typer.Option("--type", help="tutorial, resources or quiz.")]
User = Annotated[str | None, typer.Option("--user", help="Only tasks of this user.")]
Group = Annotated[str | None, typer.Option("--group", help="Only tasks with failures of this group.")]
Query = Annotated[str | None, typer.Option("--query", "-q", help="The beginning of an id or of a title.")]
Limit = Annotated[int, typer.Option("--limit", min=1, help="Rows to show.")]

POLL_SECONDS = 1.0


def filters(
    status: list[str] | None,
    error: str | None,
    content_type: str | None,
    user: str | None,
    group_id: str | None,
    query: str | None,
) -> dict[str, Any]:
    """The parameters of a list; what is not given is left out."""
    given = {
        "status": status,
        "error_code": error,
        "content_type": content_type,
        "user_id": user,
        "group_id": group_id,
        "q": query,
    }
    return {name: value for name, value in given.items() if value}


@group.command()
def tasks(
    status: Status = None,
    error: ErrorCode = None,
    content_type: ContentTypeOption = None,
    user: User = None,
    group_id: Group = None,
    query: Query = None,
    limit: Limit = 50,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """List tasks, the newest first."""
    api = Target.named(stack).operator_api()
    wanted = filters(status, error, content_type, user, group_id, query)
    rows, last = pages(api, "/tasks", limit, **wanted)
    if as_json:
        print_json({"items": rows, "total": last["total"], "total_is_exact": last["total_is_exact"]})
        return
    table = Table("task", "status", Column("missing", justify="right"), "reason", "title")
    for row in rows:
        reason = row["top_reason"]
        progress = row["progress"]
        table.add_row(
            row["task_id"],
            row["status"] + (" (person)" if row["needs_person"] else ""),
            "" if progress is None else f"{progress['missing']}/{progress['total']}",
            "" if reason is None else f"{reason['error_code']}: {reason['reason']}",
            row["title"] or "",
        )
    console = Console()
    console.print(table)
    more = "" if last["total_is_exact"] else "more than "
    console.print(f"{len(rows)} of {more}{last['total']} tasks")


@group.command()
def failures(
    status: Status = None,
    error: ErrorCode = None,
    content_type: ContentTypeOption = None,
    user: User = None,
    group_id: Group = None,
    query: Query = None,
    limit: Limit = 50,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """List current failures by group, with what the next attempt does about each."""
    api = Target.named(stack).operator_api()
    rows, _ = pages(api, "/failures", limit, **filters(status, error, content_type, user, group_id, query))
    if as_json:
        print_json({"items": rows})
        return
    console = Console()
    for row in rows:
        console.print(
            Text.assemble(
                (f"{row['items']} items of {row['tasks']} tasks", "bold"),
                f"  {row['content_type']}  ",
                (row["error_code"], "red"),
                f" ({row['stage']}): {row['reason']}\n  ",
                (row["remedy_text"], "yellow" if row["needs_person"] else "green"),
                f"\n  group {row['group_id']}, last seen {row['last_seen']}",
            )
        )
    if not rows:
        console.print("No task fails.")


@group.command()
def show(
    task_id: TaskId,
    item: Annotated[
        str | None, typer.Argument(metavar="[ITEM]", help="An item: CONTENT_TYPE:CONCEPT_ID.")
    ] = None,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Show a task's items by state and reason, or one item with all that is known about it."""
    api = Target.named(stack).operator_api()
    path = f"/tasks/{quote(task_id, safe='')}"
    if item is not None:
        content_type, _, concept_id = item.partition(":")
        print_json(ask(api, "GET", f"{path}/items/{quote(content_type, safe='')}", concept_id=concept_id))
        return
    task = ask(api, "GET", path)
    items = ask(api, "GET", f"{path}/items", states_only="true", limit="3000")
    if as_json:
        print_json({"task": task, "items": items})
        return
    console = Console()
    console.print(f"task {task_id}, attempt {task['attempt']}: {task['status']}  {task['title'] or ''}")
    names = {
        "S": "saved",
        "T": "staged",
        "M": "missing",
        "R": "rejected",
        "G": "generating",
        "F": "failed",
    }
    counts = {name: items["states"].count(letter) for letter, name in names.items()}
    console.print(", ".join(f"{count} {name}" for name, count in counts.items() if count))
    for reason in items["reasons"]:
        console.print(
            Text.assemble(
                f"  {reason['items']} {reason['content_type']}: ",
                (reason["error_code"], "red"),
                f" ({reason['stage']}): {reason['reason']}\n    {reason['remedy_text']}",
            )
        )


@group.command()
def attempts(task_id: TaskId, stack: Stack = None, as_json: Json = False) -> None:
    """List a task's attempts: who started each, how, why, and what became of it."""
    api = Target.named(stack).operator_api()
    rows, _ = pages(api, f"/tasks/{quote(task_id, safe='')}/attempts", 1_000)
    if as_json:
        print_json({"items": rows})
        return
    table = Table("attempt", "actor", "cause", "outcome", "planned", "saved", "failed", "tokens", "reason")
    for row in rows:
        counts = [
            "" if row[name] is None else str(sum(row[name].values()))
            for name in ("planned", "saved", "failed")
        ]
        table.add_row(
            str(row["attempt"]),
            row["actor"],
            row["cause"],
            row["outcome"] or row["step"],
            *counts,
            str(row["tokens"]),
            row["reason"] or "",
        )
    Console().print(table)


@group.command()
def cancel(
    task_id: TaskId,
    reason: Annotated[str, typer.Option("--reason", help="For the audit trail.")] = "",
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Cancel a task: stop its execution and start no further item."""
    api = Target.named(stack).operator_api()
    answer = ask(
        api, "POST", f"/tasks/{quote(task_id, safe='')}/cancel", **({"reason": reason} if reason else {})
    )
    if as_json:
        print_json(answer)
    else:
        Console().print(f"task {task_id}: {answer['status']}")


@group.command()
def watch(task_id: TaskId, stack: Stack = None, as_json: Json = False) -> None:
    """Follow a task until no attempt is running; exit 1 if items are missing."""
    api = Target.named(stack).operator_api()
    path = f"/tasks/{quote(task_id, safe='')}"
    task = ask(api, "GET", path)
    with Live(console=Console(stderr=True), refresh_per_second=4) as live:
        while task["live"]:
            live.update(_line(task))
            time.sleep(POLL_SECONDS)
            task = ask(api, "GET", path)
        live.update(_line(task))
    if as_json:
        print_json(task)
    missing = sum(progress["missing"] for progress in task["progress"].values())
    if missing:
        raise typer.Exit(ExitCode.ITEMS_MISSING)


def _line(task: dict[str, Any]) -> Text:
    saved = sum(progress["saved"] for progress in task["progress"].values())
    total = sum(progress["total"] for progress in task["progress"].values())
    return Text(f"attempt {task['attempt']}: {task['status']}, {saved} of {total} items are saved")
