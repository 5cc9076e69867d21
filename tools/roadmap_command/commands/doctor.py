"""`roadmap doctor`, `reconcile`: check the health of a stack, and repair its records."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from local_stack.errors import RefusedError
from roadmap_command.interface import ExitCode, Json, Stack, command_name, errors, output, print_json
from roadmap_command.target import Target
from roadmap_command.views import counted, failing_model, time_text, word_of
from roadmap_content.contracts.api.system import DatabaseFinding

group = typer.Typer()

FIRST = {
    "recoveries_paused": "recoveries",
    "stuck_tasks": "reconcile",
    "failure_groups": "failures --state new --state regressed",
    "generation_stopped": "capacity",
    "queue_halted": "reconcile",
    "sweep_overdue": "reconcile",
    "sweep_held": "reconcile --dry-run",
    "sweep_refused": "reconcile",
    "outbox": "reconcile",
}
"""The first command for a finding, unless it needs a deployment, or SQL."""

OF_DIFFERENCES = (
    ('capacity --stop "the database differs"', {"table_missing", "column_missing", "column_type"}),
    ("invoke migrate_database", {"trigger_missing", "index_missing", "privilege_missing"}),
)
"""The first command for differences of the database: that of the worst kind."""


@group.command()
def doctor(
    product_migration: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.sql",
            dir_okay=False,
            help="Apply a migration of the product to a copy of its database instead; print what breaks.",
        ),
    ] = None,
    database: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The copy, which is changed. Never the database itself."),
    ] = None,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Check the stack through its API; exit with 1 if a person should check something."""
    if (product_migration is None) != (database is None):
        raise RefusedError("--product-migration and --database are used together")
    if product_migration is not None and database is not None:
        _rehearse(product_migration, database, as_json=as_json)
        return
    target = Target.named(stack)
    health = target.client(resend_seconds=0).health()
    if as_json:
        print_json(health)
    else:
        console = output()
        counts = ", ".join(
            f"{'about ' if status in health.tasks_estimated else ''}{count} {word_of(status)}"
            for status, count in health.tasks.items()
        )
        console.print(f"release {health.release}, schema {health.schema_revision}")
        console.print(f"tasks: {counts or 'none'}; recoveries running: {health.recoveries_running}")
        console.print(f"tokens of 24 hours: {health.tokens_24h}")
        queue = health.queue
        since = queue.oldest_waiting_since
        oldest = "" if since is None else f" since {time_text(since)}"
        work = "held" if queue.stopped_reason else "at work"
        console.print(
            f"queue: {queue.waiting} waiting{oldest}, {queue.at_work} {work}, {counted(queue.slots, 'slot')}"
        )
        if health.automatic.tasks:
            tasks, first = counted(health.automatic.tasks, "task"), time_text(health.automatic.next_at)
            console.print(f"automatic: the sweep tries {tasks} again, the first at {first}")
        if target.model_failures:
            console.print(failing_model(target.model_failures))
        for found in health.attention:
            console.print(Text.assemble((found.what, "yellow"), f": {found.text}\n  see {found.runbook}"))
            command = FIRST.get(found.what)
            if found.what == "database":
                _print_findings(health.database)
                kinds = {difference.kind for difference in health.database}
                command = next((command for command, of in OF_DIFFERENCES if of & kinds), None)
            if command:
                console.print(f"  begin with: {command_name()} {command}")
        if not health.attention:
            console.print("nothing needs attention", style="green")
    if health.status != "ok":
        raise typer.Exit(ExitCode.ITEMS_MISSING)


def _rehearse(file: Path, database: str, *, as_json: bool) -> None:
    """Rehearse a migration of the product; exit with 1 if it breaks something of ours."""
    from local_stack.given_database import checked_url
    from roadmap_command.product_migration import rehearse  # the driver of PostgreSQL

    try:
        script = file.read_text()
    except (OSError, ValueError) as error:
        raise RefusedError(f"{file} cannot be read as text: {error}") from error
    rehearsal = rehearse(script, checked_url(database, "--database"))
    if as_json:
        print_json(rehearsal)
    elif not rehearsal.is_broken:
        output().print("the migration breaks nothing of ours", style="green")
    else:
        _print_findings(rehearsal.findings)
        if rehearsal.only_in_old_sessions:
            output().print("only in sessions from before the migration, until the product restarts:")
            _print_findings(rehearsal.only_in_old_sessions)
    if rehearsal.before and not as_json:
        output().print("already before the migration, so not rehearsed:")
        _print_findings(rehearsal.before)
    if rehearsal.is_broken or rehearsal.before:
        raise typer.Exit(ExitCode.ITEMS_MISSING)


def _print_findings(findings: Sequence[DatabaseFinding]) -> None:
    for found in findings:
        output().print(f"  {found.kind} {found.object}: {found.message}")


@group.command()
def reconcile(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report the repairs only.")] = False,
    accept_loss: Annotated[
        str | None,
        typer.Option(
            metavar="REASON",
            help="All rows of a content type were removed on purpose: record that their items are missing.",
        ),
    ] = None,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Finalize tasks after runs without an outcome, and repair records that differ from the tables."""
    if accept_loss is not None and not accept_loss.strip():
        raise typer.BadParameter("--accept-loss needs a reason")
    result = Target.named(stack).invoke(
        "ReconcileTaskFunction", {"dry_run": dry_run, "accept_loss": accept_loss}
    )
    if as_json:
        print_json(result)
        return
    for repair in result["repairs"]:
        errors.print(
            f"task {repair['task_id']}: {', '.join(repair['changed'])} → {word_of(repair['status'])}"
        )
    if locked := result.get("locked"):  # an earlier release does not have it
        errors.print(f"Locked by other sessions, left to the next sweep: {', '.join(locked)}.")
    verb = "to be repaired" if dry_run else "repaired"
    errors.print(f"Tasks checked: {result['checked']}; {verb}: {len(result['repairs'])}.")
