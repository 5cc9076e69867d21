"""`roadmap reconcile`: repair records that differ from the tables."""

from typing import Annotated

import typer

from roadmap_command.interface import Json, Stack, errors, print_json
from roadmap_command.target import Target

group = typer.Typer()


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
    """Finalize tasks whose run ended without an outcome, and repair records that differ from the tables."""
    result = Target.named(stack).invoke(
        "ReconcileTaskFunction", {"dry_run": dry_run, "accept_loss": accept_loss}
    )
    if as_json:
        print_json(result)
        return
    for repair in result["repairs"]:
        errors.print(f"task {repair['task_id']}: {', '.join(repair['changed'])} → {repair['status']}")
    if locked := result.get("locked"):  # an earlier release does not have it
        errors.print(f"Locked by other sessions, left to the next sweep: {', '.join(locked)}.")
    verb = "to be repaired" if dry_run else "repaired"
    errors.print(f"Tasks checked: {result['checked']}; {verb}: {len(result['repairs'])}.")
