"""`roadmap heal`, `recoveries`, `pause`, `resume`: retry many tasks, through the API."""

import time
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from local_stack.errors import RefusedError
from roadmap_command.api_client import Api
from roadmap_command.asking import ask, pages
from roadmap_command.filter_options import filtered
from roadmap_command.interface import (
    ExitCode,
    Json,
    OptionalRecoveryId,
    RecoveryId,
    Stack,
    confirmed,
    continues_without_us,
    errors,
    output,
    print_json,
)
from roadmap_command.recovery_control import change_recovery
from roadmap_command.target import Target
from roadmap_command.views import counted, fitted

group = typer.Typer()

POLL_SECONDS = 1.0


@group.command()
@filtered
def heal(
    chosen: dict[str, Any],
    reason: Annotated[str, typer.Option("--reason", help="The reason, for the audit trail.")],
    rate: Annotated[int, typer.Option("--rate", min=1, help="Tasks a minute.")] = 60,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, help="Maximum concurrent tasks.")] = 10,
    canary: Annotated[int, typer.Option("--canary", min=0, help="Retry this number of tasks first.")] = 0,
    breaker: Annotated[
        int, typer.Option("--breaker", min=0, help="Pause if most of this number of last tasks failed.")
    ] = 0,
    budget: Annotated[int | None, typer.Option("--budget", min=1, help="Maximum tokens.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print a preview.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Retry every task that the filter selects, and follow the recovery; exit with 1 if some tasks still
    fail.

    Without a filter, all failed and partial tasks are retried.
    """
    api = Target.named(stack).operator_api()
    request = {
        "filter": chosen or {"status": ["failed", "partial_failure"]},
        "reason": reason,
        "rate_per_minute": rate,
        "concurrency": concurrency,
        "canary": canary,
        "breaker": breaker,
        "token_budget": budget,
    }
    preview = ask(api, "POST", "/recoveries", request | {"dry_run": True})
    if dry_run:
        if as_json:
            print_json(preview)
        else:
            output().print(_preview(preview))
        return
    if not yes:
        errors.print(_preview(preview))
        if as_json or not confirmed("Start?"):
            raise RefusedError("not started: confirm, or use --yes")
    recovery = ask(api, "POST", "/recoveries", request)
    with continues_without_us("The recovery", f"recoveries {recovery['recovery_id']}"):
        recovery = follow(api, recovery)
    if as_json:
        print_json(recovery)
    else:
        output().print(_table([recovery]))
    counts = recovery["counts"]
    if counts["recovered"] < counts["total"]:
        raise typer.Exit(ExitCode.ITEMS_MISSING)


@group.command()
def recoveries(
    recovery_id: OptionalRecoveryId = None,
    result: Annotated[str | None, typer.Option("--result", help="Only tasks with this result.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Rows to show.")] = 50,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """List recoveries, or the tasks of one recovery."""
    api = Target.named(stack).operator_api()
    if recovery_id is None:
        rows, _ = pages(api, "/recoveries", limit)
        if as_json:
            print_json({"items": rows})
        else:
            console = output()
            console.print(fitted(_table(rows), console), soft_wrap=True)
        return
    recovery = ask(api, "GET", f"/recoveries/{recovery_id}")
    wanted = {"result": result} if result else {}
    rows, _ = pages(api, f"/recoveries/{recovery_id}/tasks", limit, **wanted)
    if as_json:
        print_json({"recovery": recovery, "tasks": rows})
        return
    console = output()
    console.print(fitted(_table([recovery]), console), soft_wrap=True)
    table = Table("task", "result", "attempt", "reason")
    for row in rows:
        attempt = "" if row["attempt"] is None else str(row["attempt"])
        table.add_row(row["task_id"], row["result"], attempt, row["reason"] or "")
    console.print(fitted(table, console), soft_wrap=True)


@group.command()
def pause(recovery_id: RecoveryId, stack: Stack = None, as_json: Json = False) -> None:
    """Pause a recovery: start no further task until it is resumed. Running tasks continue."""
    change_recovery(stack, recovery_id, "pause", as_json=as_json)


@group.command()
def resume(recovery_id: RecoveryId, stack: Stack = None, as_json: Json = False) -> None:
    """Resume a paused recovery. A recovery that is not paused is not changed."""
    change_recovery(stack, recovery_id, "resume", as_json=as_json)


def follow(api: Api, recovery: dict[str, Any]) -> dict[str, Any]:
    """Show a recovery's progress until it ends or is paused; return its last state."""
    path = f"/recoveries/{recovery['recovery_id']}"
    with Live(console=errors, refresh_per_second=4) as live:
        while recovery["ended_at"] is None and not recovery["state"].startswith("paused"):
            live.update(_progress(recovery))
            time.sleep(POLL_SECONDS)
            recovery = ask(api, "GET", path)
        live.update(_progress(recovery))
    return recovery


def _progress(recovery: dict[str, Any]) -> Text:
    counts = recovery["counts"]
    done = counts["total"] - counts["waiting"] - counts["running"]
    width = 30
    filled = width * done // max(1, counts["total"])
    return Text.assemble(
        ("█" * filled, "green"),
        ("░" * (width - filled), "dim"),
        f" {done}/{counts['total']} {recovery['state']}: {counts['running']} running, "
        f"{counts['recovered']} recovered, {counts['still_failing']} still failing, "
        f"{counts['refused']} refused",
    )


def _preview(preview: dict[str, Any]) -> str:
    staged = sum(preview["items"]["staged"].values())
    generated = sum(preview["items"]["to_generate"].values())
    tokens = preview["estimated_tokens"]
    tasks, items = counted(preview["tasks"], "task"), counted(staged, "item")
    lines = [
        f"{tasks}: {items} to save, {generated} to generate if not staged",
        f"about {counted(preview['estimated_minutes'], 'minute')} at this rate; "
        + ("tokens: not known" if tokens is None else f"about {counted(tokens, 'token')}"),
    ]
    lines += [f"will be refused: {count} ({why})" for why, count in preview["refused"].items()]
    return "\n".join(lines)


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("recovery", "state", "total", "recovered", "still failing", "refused", "tokens", "reason")
    for row in rows:
        counts = row["counts"]
        table.add_row(
            row["recovery_id"],
            row["state"],
            *(str(counts[name]) for name in ("total", "recovered", "still_failing", "refused")),
            str(row["tokens_used"]),
            row["stop_reason"] or row["reason"],
        )
    return table
