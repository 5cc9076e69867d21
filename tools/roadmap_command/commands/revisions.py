"""`roadmap origins`, `revisions`, `restore`: how saved content came to be, and its former contents."""

from typing import Annotated

import typer
from rich.table import Column, Table

from roadmap_command.commands.history import ITEM_FORM, origin_text, parse_item
from roadmap_command.interface import Json, Reason, Stack, TaskId, errors, print_answer
from roadmap_command.target import Target
from roadmap_command.views import time_text
from roadmap_content.contracts.api.items import Revision

group = typer.Typer()

ItemName = Annotated[str, typer.Argument(metavar=ITEM_FORM, help="The item, for example c-1/quiz.")]


@group.command()
def origins(stack: Stack = None, as_json: Json = False) -> None:
    """Count current items, and contents that were refused, by generator, model and prompt."""
    counts = Target.named(stack).client().origins()
    columns = (Column(name, justify="right") for name in ("saved", "refused"))
    table = Table("generator", "model", "prompt", "content", *columns)
    for row in counts.items:
        table.add_row(
            row.generator or "not recorded",
            row.model_id or "",
            row.prompt_version or "",
            row.content_type,
            str(row.saved),
            str(row.refused),
        )
    print_answer(counts, table, as_json=as_json)


@group.command()
def revisions(task_id: TaskId, item: ItemName, stack: Stack = None, as_json: Json = False) -> None:
    """List the current and the former contents of an item, with their origins."""
    wanted = parse_item(item)
    found = Target.named(stack).client().revisions(task_id, None, wanted.concept_id, wanted.content_type)
    table = Table("revision", "version", "generated", Column("bytes", justify="right"), "replaced", "origin")
    for row in found:
        table.add_row(
            row.revision_id,
            "" if row.version is None else f"v{row.version}",
            time_text(row.generated_at),
            "" if row.size is None else str(row.size),
            "current" if row.current else _replaced(row),
            origin_text(row.origin),
        )
    if not found:
        errors.print(f"No content of {item} has been saved.")
    print_answer({"items": found}, table, as_json=as_json)


@group.command()
def restore(
    task_id: TaskId,
    item: ItemName,
    revision_id: Annotated[
        str, typer.Argument(metavar="REVISION", help="The revision, as `roadmap revisions` prints it.")
    ],
    reason: Reason = "",
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Make a former content of an item the current one again. The replaced content is kept as a revision."""
    wanted = parse_item(item)
    answer = (
        Target.named(stack)
        .client()
        .restore(task_id, None, wanted.concept_id, wanted.content_type, revision_id, reason=reason or None)
    )
    done = f"{item}: revision {revision_id} is restored as {answer.content_id}"
    already = f"{item} has the content of revision {revision_id} already"
    print_answer(answer, done if answer.restored else already, as_json=as_json)


def _replaced(revision: Revision) -> str:
    if revision.replaced_at is None:
        return "by a newer version"
    return f"{time_text(revision.replaced_at)}: {revision.reason}"
