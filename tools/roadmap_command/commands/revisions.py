"""`roadmap origins`, `revisions`, `restore`: how saved content came to be, and its former contents."""

from typing import Annotated, Any
from urllib.parse import quote

import typer
from rich.table import Column, Table

from roadmap_command.asking import ask
from roadmap_command.commands.history import ITEM_FORM, origin_text, parse_item
from roadmap_command.interface import Json, Stack, TaskId, output, print_json
from roadmap_command.target import Target
from roadmap_command.views import fitted

group = typer.Typer()

ItemName = Annotated[str, typer.Argument(metavar="ITEM", help=f"The item: {ITEM_FORM}.")]


@group.command()
def origins(stack: Stack = None, as_json: Json = False) -> None:
    """Count current items, and contents that were refused, by generator, model and prompt."""
    counts = ask(Target.named(stack).operator_api(), "GET", "/origins")
    if as_json:
        print_json(counts)
        return
    columns = (Column(name, justify="right") for name in ("saved", "refused"))
    table = Table("generator", "model", "prompt", "content", *columns)
    for row in counts["items"]:
        table.add_row(
            row["generator"] or "not recorded",
            row["model_id"] or "",
            row["prompt_version"] or "",
            row["content_type"],
            str(row["saved"]),
            str(row["refused"]),
        )
    console = output()
    console.print(fitted(table, console), soft_wrap=True)


@group.command()
def revisions(task_id: TaskId, item: ItemName, stack: Stack = None, as_json: Json = False) -> None:
    """List the current and the former contents of an item, with their origins."""
    wanted = parse_item(item)
    path = f"/tasks/{task_id}/items/{wanted.content_type}/revisions"
    found = ask(Target.named(stack).operator_api(), "GET", path, concept_id=wanted.concept_id)
    if as_json:
        print_json(found)
        return
    table = Table("revision", "version", "generated", Column("bytes", justify="right"), "replaced", "origin")
    for row in found["items"]:
        table.add_row(
            row["revision_id"],
            "" if row["version"] is None else f"v{row['version']}",
            row["generated_at"] or "",
            "" if row["size"] is None else str(row["size"]),
            "current" if row["current"] else _replaced(row),
            origin_text(row["origin"]),
        )
    console = output()
    console.print(fitted(table, console), soft_wrap=True)


@group.command()
def restore(
    task_id: TaskId,
    item: ItemName,
    revision_id: Annotated[
        str, typer.Argument(metavar="REVISION", help="The revision, as `roadmap revisions` prints it.")
    ],
    reason: Annotated[str, typer.Option("--reason", help="The reason, for the origin of the content.")] = "",
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Make a former content of an item the current one again. The replaced content is kept as a revision."""
    wanted = parse_item(item)
    path = f"/tasks/{task_id}/items/{wanted.content_type}/revisions/{quote(revision_id, safe='')}/restore"
    query = {"concept_id": wanted.concept_id} | ({"reason": reason} if reason else {})
    answer = ask(Target.named(stack).operator_api(), "POST", path, **query)
    if as_json:
        print_json(answer)
    elif answer["restored"]:
        output().print(
            f"{item}: revision {revision_id} is restored as {answer['content_id']}", soft_wrap=True
        )
    else:
        output().print(f"{item} has the content of revision {revision_id} already", soft_wrap=True)


def _replaced(revision: dict[str, Any]) -> str:
    if revision["replaced_at"] is None:
        return "by a newer version"
    return f"{revision['replaced_at']}: {revision['reason']}"
