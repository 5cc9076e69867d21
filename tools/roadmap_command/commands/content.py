"""`roadmap load`, `generate-one`: content before it is saved."""

from pathlib import Path
from typing import Annotated

import typer

from roadmap_command.interface import Json, Stack, errors, print_json
from roadmap_command.load import load_bundle
from roadmap_command.target import Target
from roadmap_content.bundle import parse_bundle
from roadmap_content.items import ContentType
from roadmap_content.roadmaps.framework import Concept
from roadmap_content.runtime.deadline import Deadline

group = typer.Typer()


@group.command()
def load(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE.json", exists=True, dir_okay=False)],
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Load a roadmap, its task and its generated content: staged, not yet saved."""
    loaded = parse_bundle(bundle.read_bytes())
    with errors.status(f"loading {bundle.name}"):
        target = Target.named(stack)
        load_bundle(loaded, target.engine, target.bucket, Deadline.after(300))
    if as_json:
        print_json({"task_id": loaded.task.task_id, "staged": len(loaded.content)})
    else:
        errors.print(f"{len(loaded.content)} items are staged for task {loaded.task.task_id}.")
        errors.print(f"Save them with: roadmap run {loaded.task.task_id}")


@group.command("generate-one")
def generate_one_item(
    concept: Annotated[str, typer.Option("--concept", help="The concept's name.")],
    content_type: Annotated[
        ContentType, typer.Option("--type", help="The content type to generate.")
    ] = ContentType.QUIZ,
    description: Annotated[str, typer.Option("--description", help="What the concept is about.")] = "",
    language: Annotated[str, typer.Option("--language", help="A language tag: zh, en.")] = "",
    model: Annotated[
        str | None, typer.Option("--model", help="A model's id, or an inference profile's id or ARN.")
    ] = None,
    region: Annotated[str | None, typer.Option("--region", help="The model's AWS region.")] = None,
) -> None:
    """Generate one item with a real model; print it, its tokens and its seconds. Nothing is saved."""
    from roadmap_command.generate_one import generate_one

    with errors.status("waiting for the model"):
        made = generate_one(
            Concept("one", concept, description),
            content_type,
            language=language,
            model_id=model,
            region=region,
        )
    print_json(made.document())
