"""`roadmap failures`: failure groups; one group with its history, and the decisions about it."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

import typer
from rich.text import Text

from roadmap_command.commands.history import MAX_PAGE
from roadmap_command.filter_options import filtered
from roadmap_command.interface import (
    GroupId,
    InvalidIdError,
    Json,
    Limit,
    Stack,
    command_name,
    errors,
    output,
    print_answer,
    print_json,
)
from roadmap_command.target import Target
from roadmap_command.views import counted, next_step, of_types, time_text, word_of_recovery
from roadmap_content.contracts.api.failures import FailureGroup, FailureGroupDetail, FailureHistory
from roadmap_content.contracts.states import RINGING_STATES, GroupState

group = typer.Typer()


def _note(option: str, purpose: str) -> Any:  # noqa: ANN401 - an option of Typer
    return typer.Option(option, metavar="NOTE", help=purpose)


@group.command()
@filtered
def failures(
    chosen: dict[str, Any],
    of_group: GroupId = None,
    state: Annotated[
        list[GroupState] | None, typer.Option("--state", help="Only groups in this state. Repeatable.")
    ] = None,
    limit: Limit = 50,
    days: Annotated[
        int | None,
        typer.Option(
            "--days", min=1, max=7, help="Instead, the failures of the last days, also healed ones."
        ),
    ] = None,
    acknowledge: Annotated[
        str | None, _note("--acknowledge", "Somebody works on it: silent until it is gone and comes back.")
    ] = None,
    ignore: Annotated[
        str | None, _note("--ignore", "Count it, but stay silent, until a limit if one is given.")
    ] = None,
    resolve: Annotated[
        str | None, _note("--resolve", "Its cause is removed: one more failure is a regression.")
    ] = None,
    reopen: Annotated[str | None, _note("--reopen", "Withdraw the decision: the group is new.")] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            "--until",
            metavar="TIME",
            parser=datetime.fromisoformat,
            help="End --ignore at this time (ISO 8601, UTC).",
        ),
    ] = None,
    until_tasks: Annotated[
        int | None, typer.Option("--until-tasks", min=1, help="End --ignore at this number of tasks.")
    ] = None,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """List current failures by group, with the state and the action of the next attempt for each; or show a
    group with its history: acknowledge, ignore, resolve or reopen it; or what has failed and healed.
    """
    notes = {"acknowledged": acknowledge, "ignored": ignore, "resolved": resolve, "new": reopen}
    given = {state: note for state, note in notes.items() if note is not None}
    if len(given) > 1:
        raise typer.BadParameter("--acknowledge, --ignore, --resolve and --reopen exclude each other")
    if (until or until_tasks) and ignore is None:
        raise typer.BadParameter("--until and --until-tasks need --ignore")
    if given and of_group is None:
        raise typer.BadParameter("--acknowledge, --ignore, --resolve and --reopen need a GROUP_ID")
    if of_group is not None and re.fullmatch("[0-9a-f]{16}", of_group) is None:
        raise InvalidIdError(f"{of_group!r} is no id of a group; list them with: {command_name()} failures")
    if days is not None and (chosen or state or of_group):
        raise typer.BadParameter("--days has neither a filter nor a GROUP_ID")
    client = Target.named(stack).client()
    if days is not None:
        history = client.failure_history(days)
        print_answer(history, *_history(history), as_json=as_json)
        return
    if of_group is None:
        groups = client.failures(state=state, limit=min(limit, MAX_PAGE), **chosen)
        _list(list(islice(groups, limit)), as_json=as_json)
        return
    if given:
        ((decision, note),) = given.items()
        found = client.change_failure_group(of_group, decision, note, until=until, until_tasks=until_tasks)
    else:
        found = client.failure_group(of_group)
    print_answer(found, *_description(found), as_json=as_json)


def _list(rows: Sequence[FailureGroup], *, as_json: bool) -> None:
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
                _remedy(row),
                next_step(row.turn),
                f"\n  group {row.group_id}, last seen {time_text(row.last_seen)}",
                "" if row.note is None else f"\n  {row.state_by}: {row.note}",
            )
        )
    if not rows:
        errors.print("No task fails.")


def _history(history: FailureHistory) -> Iterator[Text]:
    """The failures by hour, and the groups that have healed, with what has healed them."""
    for hour in history.hours:
        still = f"  {hour.still} still missing" if hour.still else ""
        yield Text(f"{time_text(hour.hour)}  {counted(hour.failed, 'item')} failed{still}")
    for healed in history.healed:
        causes = {
            "automatically": healed.automatically,
            "by a recovery": healed.by_recovery,
            "by a person's retry": healed.by_person,
        }
        by = ", ".join(f"{counted(items, 'item')} {cause}" for cause, items in causes.items() if items)
        yield Text.assemble(
            ("healed", "green"),
            f"  {counted(healed.failed, 'item')} failed  ",
            (healed.error_code, "red"),
            f" ({healed.stage}): {healed.reason}\n  {by or 'not by an attempt'}",
            f"\n  group {healed.group_id}, last seen {time_text(healed.last_seen)}",
        )
    if not history.hours:
        yield Text(f"Nothing has failed since {time_text(history.since)}.")


def _remedy(found: FailureGroup) -> str:
    """The action of the next attempt, as a line before the turn, unless the turn states it."""
    return "" if found.remedy_text == found.turn.why else f"{found.remedy_text}\n  "


def _description(found: FailureGroupDetail) -> Iterator[Text]:
    """The lines that describe a group. No text of them is markup: reasons and notes are data."""
    yield Text.assemble(
        (found.state, "bold"),
        f": {counted(found.items, 'item')} of {counted(found.tasks, 'task')}  {of_types(found.by_type)}  ",
        (found.error_code, "red"),
        f" ({found.stage}): {found.reason}",
    )
    yield Text(f"  first seen {time_text(found.first_seen)}, last seen {time_text(found.last_seen)}")
    yield Text.assemble("  ", _remedy(found), next_step(found.turn))
    for change in found.changes:
        text = str(change.state)
        if change.until:
            text += f" until {time_text(change.until)}"
        if change.until_tasks:
            text += f" until {counted(change.until_tasks, 'task')}"
        yield Text(f"  {time_text(change.at)} {change.actor}: {text}: {change.note}")
    for recovery in found.recoveries:
        counts = recovery.counts
        yield Text(
            f"  {time_text(recovery.created_at)} {recovery.actor}: recovery {recovery.recovery_id} "
            f"{word_of_recovery(recovery.state)}, {counts['recovered']} of "
            f"{counted(counts['total'], 'task')} recovered: {recovery.reason}"
        )
