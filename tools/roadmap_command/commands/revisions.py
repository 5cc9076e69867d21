"""`roadmap origins`: how saved content came to be, through the API."""

import typer
from rich.table import Column, Table

from roadmap_command.asking import ask
from roadmap_command.interface import Json, Stack, output, print_json
from roadmap_command.target import Target
from roadmap_command.views import fitted

group = typer.Typer()


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
