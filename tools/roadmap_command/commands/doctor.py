"""`roadmap doctor`: check the health of a stack."""

import typer
from rich.text import Text

from roadmap_command.interface import ExitCode, Json, Stack, command_name, output, print_json
from roadmap_command.target import Target
from roadmap_command.views import time_text

group = typer.Typer()


@group.command()
def doctor(stack: Stack = None, as_json: Json = False) -> None:
    """Check the stack through its API; exit with 1 if a person should check something."""
    health = Target.named(stack).client().health()
    if as_json:
        print_json(health)
    else:
        console = output()
        counts = ", ".join(
            f"{'about ' if status in health.tasks_estimated else ''}{count} {status}"
            for status, count in health.tasks.items()
        )
        console.print(f"release {health.release}, schema {health.schema_revision}")
        console.print(f"tasks: {counts or 'none'}; recoveries running: {health.recoveries_running}")
        console.print(
            f"tokens of 24 hours: {health.tokens.spent_24h} spent, "
            f"{health.tokens.saved_by_staging_24h} saved by staging"
        )
        queue = health.queue
        since = queue.oldest_waiting_since
        oldest = "" if since is None else f" since {time_text(since)}"
        console.print(f"queue: {queue.waiting} waiting{oldest}, {queue.at_work} at work, {queue.slots} slots")
        for found in health.attention:
            console.print(
                Text.assemble((found.what, "yellow"), f": {found.text}\n  see {found.runbook}"),
                soft_wrap=True,
            )
            if stack is None and found.what == "sweep_overdue":
                console.print(f"  the local stack has no schedule; sweep with: {command_name()} reconcile")
            if found.what == "database":
                for finding in health.database:
                    console.print(
                        f"  {finding.kind} {finding.object}: {finding.message}", soft_wrap=True, markup=False
                    )
        if not health.attention:
            console.print("nothing needs attention", style="green")
    if health.status != "ok":
        raise typer.Exit(ExitCode.ITEMS_MISSING)
