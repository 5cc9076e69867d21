"""`roadmap load`, `export`: content before it is saved, and afterwards."""

from collections import Counter
from typing import Annotated

import typer
from rich.text import Text

from roadmap_command.export import Exported, export_task
from roadmap_command.interface import (
    ExitCode,
    Json,
    Stack,
    TaskId,
    bar,
    command_name,
    errors,
    if_interrupted,
    print_json,
)
from roadmap_command.load import Loaded, load_bundle
from roadmap_command.target import Target
from roadmap_command.views import counted
from roadmap_content.content.bundle import Bundle, InvalidItem, parse_bundle, read_bundle
from roadmap_content.contracts.errors import InvalidBundleError
from roadmap_content.platform.runtime.deadline import Deadline

group = typer.Typer()


@group.command()
def load(
    bundle: Annotated[
        typer.FileBinaryRead,
        typer.Argument(metavar="BUNDLE.json", help="A bundle (docs/integrating.md); - reads stdin."),
    ],
    strict: Annotated[bool, typer.Option("--strict", help="Load nothing if any item is invalid.")] = False,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Load a roadmap, its task and its generated content. The content is staged, and not saved yet.

    Invalid items are listed, and also staged, so that a run records the reasons. The exit code is then 1.
    Saved items are not replaced.

    Entries of an unknown type or concept, entries given twice, and invalid entries of saved items are listed
    and not staged; the exit code is 1, too.
    """
    try:
        read = parse_bundle(bundle.read(), strict=strict, name=getattr(bundle, "name", "stdin"))
    except InvalidBundleError as error:
        raise InvalidBundleError(f"{error}; docs/integrating.md has an example") from error
    task_id = read.task.task_id
    hint = (
        "What was staged or saved is kept, and loading the bundle again continues;"
        f" see what is saved with: {command_name()} status {task_id}"
    )
    with if_interrupted(hint):
        target = Target.named(stack)
        with bar("staging", len(read.content) + len(read.invalid)) as advance:
            loaded = load_bundle(read, target.engine, target.bucket, Deadline.after(300), advance)
    if as_json:
        invalid = [
            {
                "concept_id": each.concept_id,
                "content_type": each.content_type,
                "reason": each.fault,
                "staged": _is_staged(each, loaded),
            }
            for each in read.invalid
        ]
        print_json(
            {
                "task_id": task_id,
                "staged": loaded.staged,
                "saved_already": loaded.saved_already,
                "invalid": invalid,
            }
        )
    else:
        _report(read, loaded)
    if read.invalid:
        raise typer.Exit(ExitCode.ITEMS_MISSING)


def _is_staged(invalid: InvalidItem, loaded: Loaded) -> bool:
    """Whether invalid content was staged nevertheless: not in place of a saved item."""
    return invalid.item is not None and invalid.item not in loaded.saved


def _report(read: Bundle, loaded: Loaded) -> None:
    task_id = read.task.task_id
    for each in read.invalid:
        name = f"{each.content_type or 'content'} of {each.concept_id}"
        errors.print(Text.assemble((name, "red"), f": {each.fault}"))
    staged = sum(_is_staged(each, loaded) for each in read.invalid)
    if staged:
        errors.print(f"Staged, but invalid: {counted(staged, 'item')}; a run records them as failed.")
    if staged < len(read.invalid):
        errors.print(f"Not staged: {counted(len(read.invalid) - staged, 'part')} of the content.")
    if loaded.staged or not loaded.saved_already:
        errors.print(f"Staged for task {task_id}: {counted(loaded.staged, 'item')}.")
    if loaded.saved_already:
        errors.print(f"{loaded.saved_already} are saved already, and not replaced.")
    if loaded.staged or staged:
        errors.print(f"Save the staged items with: {command_name()} run {task_id}")


@group.command()
def export(task_id: TaskId, stack: Stack = None) -> None:
    """Print a task as a bundle: its request, its framework, its current contents and their origins.

    `load` reads it. It contains personal data: the user's id, request and preferences. Former revisions are
    not in it. The exit code is 1 if items are missing, or if `load` would refuse a part.
    """
    exported = exported_from(stack, task_id)
    print_json(exported.bundle)
    refused = _refused_by_load(exported)
    for message in (*(f"Absent: {reason}" for reason in _counted(exported)), *refused):
        errors.print(message)
    if exported.former_user is not None:
        errors.print(
            f"The roadmap belongs to another user than the task, whose user is {exported.former_user}."
            " In the bundle, both belong to the roadmap's user."
        )
    errors.print("The bundle contains personal data: the user's id, request and preferences.")
    if exported.absent or refused:
        raise typer.Exit(ExitCode.ITEMS_MISSING)


def exported_from(stack: str | None, task_id: str) -> Exported:
    """Export a task with a bar of its items; see `export_task`."""
    with bar("reading") as advance:
        return export_task(Target.named(stack).client(), task_id, advance)


def _counted(exported: Exported) -> list[str]:
    reasons = Counter(f"{item.content_type}: {reason}" for item, reason in exported.absent)
    return [f"{counted(number, 'item')}, {reason}" for reason, number in reasons.items()]


def _refused_by_load(exported: Exported) -> list[str]:
    try:
        read = read_bundle(exported.bundle, strict=False)
    except InvalidBundleError as error:
        return [f"`load` refuses the bundle: {error}"]
    return [f"`load` refuses an item: {each.fault}" for each in read.invalid]
