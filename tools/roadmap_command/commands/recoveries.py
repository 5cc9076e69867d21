"""`roadmap heal`, `regenerate`, `undo`, `recoveries`, `pause`, `resume`: bulk jobs, through the API."""

import time
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from local_stack.errors import RefusedError
from roadmap_command.commands.history import MAX_PAGE
from roadmap_command.filter_options import filtered
from roadmap_command.interface import (
    ExitCode,
    Json,
    Limit,
    OptionalRecoveryId,
    Reason,
    Recovery,
    Stack,
    command_name,
    confirmed,
    continues_without_us,
    errors,
    if_interrupted,
    output,
    print_answer,
    print_json,
    print_table,
)
from roadmap_command.target import Target
from roadmap_command.views import counted, word_of_recovery
from roadmap_content.client.client import Client
from roadmap_content.client.http import ApiRefusedError
from roadmap_content.contracts.api.recoveries import RecoveryAnswer, RecoveryPreview, UndoAnswer
from roadmap_content.contracts.items import ContentType

group = typer.Typer()

POLL_SECONDS = 1.0

Rate = Annotated[int, typer.Option("--rate", min=1, help="Tasks a minute.")]
Concurrency = Annotated[int, typer.Option("--concurrency", min=1, help="Maximum concurrent tasks.")]
Canary = Annotated[int, typer.Option("--canary", min=0, help="Start this number of tasks first; 0: none.")]
Breaker = Annotated[
    int,
    typer.Option(
        "--breaker",
        min=0,
        help="Pause if more than half of this number of last tasks fail, or half for one cause; 0: do not.",
    ),
]
Budget = Annotated[int | None, typer.Option("--budget", min=1, help="Maximum tokens.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print a preview.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@group.command()
@filtered
def heal(
    chosen: dict[str, Any],
    reason: Reason,
    all_missing: Annotated[
        bool,
        typer.Option("--all-missing", help="Retry every missing item of the tasks, also for other causes."),
    ] = False,
    rate: Rate = 60,
    concurrency: Concurrency = 10,
    canary: Canary = 5,
    breaker: Breaker = 10,
    budget: Budget = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Retry every task that the filter selects, and follow the recovery; exit with 1 if some tasks still
    fail.

    Without a filter, all failed and partial tasks are retried; cancelled ones with `--status cancelled`.
    With a cause (--error, --group, --type), only the items that have it are retried.
    """
    task_filter = chosen or {"status": ["failed", "partial_failure"]}
    request = {
        "task_filter": task_filter | {"all_missing": all_missing},
        "reason": reason,
        "rate_per_minute": rate,
        "concurrency": concurrency,
        "canary": canary,
        "breaker": breaker,
        "token_budget": budget,
    }
    _create(stack, request, dry_run=dry_run, yes=yes, as_json=as_json)


@group.command()
def regenerate(
    reason: Reason,
    content_type: Annotated[
        ContentType | None, typer.Option("--type", help="Only items of this type.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", help="Only what this model wrote.")] = None,
    prompt: Annotated[
        str | None, typer.Option("--prompt", help="Only what this version of the prompt wrote.")
    ] = None,
    generator: Annotated[
        str | None, typer.Option("--generator", help="Only what product, offline, bedrock or function wrote.")
    ] = None,
    before: Annotated[datetime | None, typer.Option("--before", help="Only items from before, UTC.")] = None,
    roadmap: Annotated[str | None, typer.Option("--roadmap", help="Only items of this roadmap.")] = None,
    error: Annotated[
        str | None,
        typer.Option("--error", help="Only items in which a later check found this: Check.DeadLinks."),
    ] = None,
    instruction: Annotated[
        str | None,
        typer.Option("--instruction", metavar="TEXT", help="Change them so; it pauses after its canary."),
    ] = None,
    rate: Rate = 60,
    concurrency: Concurrency = 10,
    canary: Canary = 5,
    breaker: Breaker = 10,
    budget: Budget = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Replace the saved items that meet every condition, and follow the recovery; `roadmap undo` restores
    them.

    `roadmap origins` lists models and prompts. An item stays readable until its successor is saved.
    """
    conditions = {
        "content_type": content_type,
        "model_id": model,
        "prompt_version": prompt,
        "generator": generator,
        "generated_before": before and before.isoformat(),
        "roadmap_id": roadmap,
        "error_code": error,
    }
    request = {
        "task_filter": {},
        "regenerate": {name: value for name, value in conditions.items() if value is not None},
        "instruction": instruction,
        "reason": reason,
        "rate_per_minute": rate,
        "concurrency": concurrency,
        "canary": canary,
        "breaker": breaker,
        "token_budget": budget,
    }
    _create(stack, request, dry_run=dry_run, yes=yes, as_json=as_json)


@group.command()
def undo(
    recovery_id: Recovery,
    reason: Reason = "",
    dry_run: DryRun = False,
    yes: Yes = False,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Restore what each item had before a recovery regenerated it; exit with 1 if items were left alone.

    Items that were changed since are left alone, and listed.
    """
    client = Target.named(stack).client()
    before = client.undo_recovery(recovery_id, dry_run=True)
    preview = f"{recovery_id}: what it replaced in {counted(before.tasks_left, 'task')} is restored"
    if dry_run:
        print_answer(before, preview, as_json=as_json)
        return
    if not yes:
        errors.print(preview)
        if as_json or not confirmed("Restore?"):
            raise RefusedError("nothing was restored: confirm, or use --yes")

    def progress(answer: UndoAnswer) -> None:
        errors.print(
            f"{counted(answer.restored, 'item')} restored, {counted(answer.tasks_left, 'task')} left"
        )

    hint = f"What is restored stays restored. For the rest: {command_name()} undo --recovery {recovery_id}"
    with if_interrupted(hint):
        answer = client.undo_recovery(recovery_id, reason=reason or None, progress=progress)
    left_alone = [
        {"task_id": task.task_id, **item.model_dump(mode="json")}
        for task in client.recovery_tasks(recovery_id, limit=MAX_PAGE)
        if task.undone is not None
        for item in task.undone.left_alone
    ]
    if as_json:
        print_json(answer.model_dump(mode="json") | {"items": left_alone})
    else:
        output().print(
            f"{recovery_id}: {_restored(answer.restored, before.restored)}, "
            f"{answer.not_replaced} had not been replaced, {answer.left_alone} left alone"
        )
        if left_alone:
            table = Table("task", "concept", "type", "reason")
            for item in left_alone:
                table.add_row(item["task_id"], item["concept_id"], item["content_type"], item["reason"])
            print_table(table)
    if answer.left_alone:
        raise typer.Exit(ExitCode.ITEMS_MISSING)


def _restored(items: int, before: int) -> str:
    earlier = f" ({before} of them by an earlier undo)" if before else ""
    return f"{counted(items, 'item')} restored{earlier}"


def _create(stack: str | None, request: dict[str, Any], *, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Create a recovery after a preview, and follow it."""
    client = Target.named(stack).client()
    try:
        preview = client.preview_recovery(**request)
    except ApiRefusedError as error:
        if error.error != "NothingMatches":
            raise
        hint = f"the filter selects no task; list them with: {command_name()} tasks"
        if request.get("regenerate"):
            hint = f"no item matches; list what wrote the items: {command_name()} origins"
        elif "cancelled" not in request["task_filter"].get("status", ()):
            hint += "; cancelled ones are selected by --status cancelled only"
        raise ApiRefusedError(error.status, error.error, hint) from error
    if dry_run:
        print_answer(preview, _preview(preview), as_json=as_json)
        return
    if not yes:
        errors.print(_preview(preview))
        if as_json or not confirmed("Start?"):
            raise RefusedError("not started: confirm, or use --yes")
    recovery = client.create_recovery(**request)
    with continues_without_us("The recovery", f"recoveries {recovery.recovery_id}"):
        recovery = follow(client, recovery)
    print_answer(recovery, _table([recovery]), as_json=as_json)
    if recovery.counts["recovered"] < recovery.counts["total"]:
        raise typer.Exit(ExitCode.ITEMS_MISSING)


@group.command()
def recoveries(
    recovery_id: OptionalRecoveryId = None,
    result: Annotated[str | None, typer.Option("--result", help="Only tasks with this result.")] = None,
    limit: Limit = 50,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """List recoveries, or the tasks of one recovery."""
    if result is not None and recovery_id is None:
        raise typer.BadParameter("--result needs a RECOVERY_ID")
    client = Target.named(stack).client()
    page = min(limit, MAX_PAGE)
    if recovery_id is None:
        listed = list(islice(client.recoveries(limit=page), limit))
        print_answer({"items": listed}, _table(listed), as_json=as_json)
        return
    recovery = client.recovery(recovery_id)
    rows = list(islice(client.recovery_tasks(recovery_id, result=result, limit=page), limit))
    table = Table("task", "result", "attempt", "reason")
    for row in rows:
        attempt = "" if row.attempt is None else str(row.attempt)
        table.add_row(row.task_id, row.result, attempt, row.reason or "")
    if not as_json:
        errors.print(_progress(recovery))
    document = {"recovery": recovery, "tasks": rows}
    print_answer(document, _table([recovery]), table, as_json=as_json)


@group.command()
def pause(recovery_id: Recovery, reason: Reason = "", stack: Stack = None, as_json: Json = False) -> None:
    """Pause a recovery: start no further task until it is resumed. Running tasks continue."""
    client = Target.named(stack).client()
    print_change(client.pause_recovery(recovery_id, reason=reason or None), as_json=as_json)


@group.command()
def resume(recovery_id: Recovery, reason: Reason = "", stack: Stack = None, as_json: Json = False) -> None:
    """Resume a paused recovery. A recovery that is not paused is not changed."""
    client = Target.named(stack).client()
    print_change(client.resume_recovery(recovery_id, reason=reason or None), as_json=as_json)


def print_change(recovery: RecoveryAnswer, *, as_json: bool) -> None:
    """Print a recovery after its state was changed."""
    counts = recovery.counts
    state = (
        f"recovery {recovery.recovery_id}: {word_of_recovery(recovery.state)}, "
        f"{counts['waiting']} waiting and {counts['running']} running of {counted(counts['total'], 'task')}"
    )
    print_answer(recovery, state, as_json=as_json)


def follow(client: Client, recovery: RecoveryAnswer) -> RecoveryAnswer:
    """Show a recovery's progress until it ends or is paused; return its last state."""
    bar = Live(console=errors, refresh_per_second=4, transient=True)
    shown = _progress(recovery)
    with bar if errors.is_terminal else errors.working(shown):
        while recovery.ended_at is None and not recovery.state.startswith("paused"):
            now = _progress(recovery)
            bar.update(now)
            shown.plain = now.plain
            time.sleep(POLL_SECONDS)
            recovery = client.recovery(recovery.recovery_id)
    errors.print(_progress(recovery))
    return recovery


def _progress(recovery: RecoveryAnswer) -> Text:
    counts = recovery.counts
    done = counts["total"] - counts["waiting"] - counts["running"]
    width = 30
    filled = width * done // max(1, counts["total"])
    return Text.assemble(
        ("█" * filled, "green"),
        ("░" * (width - filled), "dim"),
        f" {done}/{counts['total']} {word_of_recovery(recovery.state)}: {counts['running']} running, "
        f"{counts['recovered']} recovered, {counts['still_failing']} still failing, "
        f"{counts['refused']} refused{_outlook(recovery)}",
    )


def _outlook(recovery: RecoveryAnswer) -> str:
    """What comes next: the time that is left, or the decision of a person."""
    if recovery.state.startswith("paused"):
        why = "" if recovery.stop_reason is None else f"\n{recovery.stop_reason}"
        resume, cancel = (f"{command_name()} {verb} --recovery" for verb in ("resume", "cancel"))
        return f"{why}\nnext: {resume} {recovery.recovery_id}, or {cancel} {recovery.recovery_id}"
    progress = recovery.progress
    if recovery.ended_at or not progress or progress.least_seconds is None or progress.most_seconds is None:
        return ""
    least, most = (-(-seconds // 60) for seconds in (progress.least_seconds, progress.most_seconds))
    return f"; about {f'{least} to ' if least < most else ''}{counted(most, 'minute')} left"


def _preview(preview: RecoveryPreview) -> str:
    staged = sum(preview.items.staged.values())
    generated = sum(preview.items.to_generate.values())
    tasks, items = counted(preview.tasks, "task"), counted(staged, "item")
    lines = [
        f"{tasks}: {items} to save, {generated} to generate if not staged",
        f"about {counted(preview.estimated_minutes, 'minute')} at this rate",
        _price(preview.estimated_tokens),
    ]
    if preview.other_items:
        others = f"missing for another cause: {counted(preview.other_items, 'item')}"
        lines.append(f"{others} ({_price(preview.other_tokens)}); --all-missing retries them, too")
    lines += [f"will be refused: {count} ({why})" for why, count in preview.refused.items()]
    return "\n".join(lines)


def _price(tokens: int | None) -> str:
    return "tokens: not known" if tokens is None else f"about {counted(tokens, 'token')}"


def _table(recoveries: list[RecoveryAnswer]) -> Table:
    table = Table("recovery", "state", "total", "recovered", "still failing", "refused", "tokens", "reason")
    for recovery in recoveries:
        table.add_row(
            recovery.recovery_id,
            word_of_recovery(recovery.state),
            *(str(recovery.counts[name]) for name in ("total", "recovered", "still_failing", "refused")),
            str(recovery.tokens_used),
            recovery.stop_reason or recovery.reason,
        )
    return table
