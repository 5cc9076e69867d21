"""`roadmap capacity`: the slots, the model's quota, the switch that stops generation, and the queue, through
the API.
"""

from typing import Annotated, Any

import typer
from rich.table import Column, Table

from roadmap_command.asking import ask
from roadmap_command.interface import Json, Stack, output, print_json
from roadmap_command.target import Target
from roadmap_command.views import fitted

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
    api = Target.named(stack).operator_api()
    if (slots, tokens_per_minute, stop) == (None, None, None) and not resume:
        found = ask(api, "GET", "/capacity")
    else:
        change: dict[str, Any] = {"reason": stop or reason or "no reason given"}
        if slots is not None:
            change["slots"] = slots
        if tokens_per_minute is not None:
            change["tokens_per_minute"] = tokens_per_minute
        if stop is not None or resume:
            change["stopped"] = stop is not None
        found = ask(api, "PUT", "/capacity", change)
    if as_json:
        print_json(found)
        return
    console = output()
    state = f"stopped: {found['stopped_reason']}" if found["stopped"] else "running"
    quota = found["tokens_per_minute"]
    limits = f"{found['slots']} slots" + (f", {quota} tokens a minute" if quota else "")
    console.print(f"generation is {state}; {limits}", markup=False, soft_wrap=True)
    table = Table(
        "class",
        "user or tenant",
        Column("waiting", justify="right"),
        Column("at work", justify="right"),
        Column("tokens waiting", justify="right"),
        "oldest",
    )
    for each in found["classes"]:
        _add(table, each["queue_class"], "all", each)
    for each in found["users"]:
        _add(table, each["queue_class"], each["queue_key"], each)
    if found["classes"]:
        console.print(fitted(table, console), soft_wrap=True)


def _add(table: Table, queue_class: str, name: str, each: dict[str, Any]) -> None:
    table.add_row(
        queue_class,
        name,
        str(each["waiting"]),
        str(each["at_work"]),
        str(each["waiting_tokens"]),
        each["oldest_waiting_since"] or "",
    )
