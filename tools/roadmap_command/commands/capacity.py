"""`roadmap capacity`: the slots, the model's quota, the switch that stops generation, and the queue, through
the API.
"""

from typing import Annotated

import typer
from rich.table import Column, Table

from roadmap_command.interface import Json, Stack, output, print_json, print_table
from roadmap_command.target import Target
from roadmap_command.views import counted, time_text
from roadmap_content.contracts.api.capacity import ClassInQueue, UserInQueue

group = typer.Typer()


@group.command()
def capacity(
    slots: Annotated[
        int | None, typer.Option("--slots", min=1, help="Batches that are generated at the same time.")
    ] = None,
    tokens_per_minute: Annotated[
        int | None,
        typer.Option("--tokens-per-minute", min=0, help="The model's quota, which calls share; 0: none."),
    ] = None,
    stop: Annotated[
        str | None,
        typer.Option("--stop", metavar="REASON", help="Stop generation for all tasks. Nothing is lost."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue after a stop.")] = False,
    reason: Annotated[
        str | None, typer.Option("--reason", help="The reason, for the audit trail; --stop has its own.")
    ] = None,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Show the capacity and the queue; change the slots or the quota; stop or resume generation."""
    if stop is not None and resume:
        raise typer.BadParameter("--stop and --resume contradict each other")
    if stop is not None and not stop.strip():
        raise typer.BadParameter("--stop needs a reason: owners of waiting tasks read it")
    client = Target.named(stack).client()
    if (slots, tokens_per_minute, stop) == (None, None, None) and not resume:
        found = client.capacity()
    else:
        found = client.change_capacity(
            stop or reason or "no reason given",
            slots=slots,
            tokens_per_minute=tokens_per_minute,
            stopped=None if stop is None and not resume else stop is not None,
        )
    if as_json:
        print_json(found)
        return
    console = output()
    state = f"stopped: {found.stopped_reason}" if found.stopped else "running"
    quota = found.tokens_per_minute
    limits = counted(found.slots, "slot") + (f", {quota} tokens a minute" if quota else "")
    console.print(f"generation is {state}; {limits}")
    table = Table(
        "class",
        "user or tenant",
        Column("waiting", justify="right"),
        Column("held" if found.stopped else "at work", justify="right"),
        Column("tokens waiting", justify="right"),
        "oldest",
    )
    for totals in found.classes:
        _add(table, "all", totals)
    for queue in found.users:
        _add(table, queue.queue_key, queue)
    if found.classes:
        print_table(table)


def _add(table: Table, name: str, totals: ClassInQueue | UserInQueue) -> None:
    table.add_row(
        totals.queue_class,
        name,
        str(totals.waiting),
        str(totals.at_work),
        str(totals.waiting_tokens),
        time_text(totals.oldest_waiting_since),
    )
