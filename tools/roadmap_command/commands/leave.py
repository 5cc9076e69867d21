"""`roadmap leave`: remove everything of this system from the product's database."""

import sys
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from local_stack.errors import RefusedError
from roadmap_command.interface import Json, Stack, confirmed, errors, output, print_json
from roadmap_command.target import Target
from roadmap_content.platform.storage.bucket import Bucket, in_parallel
from roadmap_content.platform.storage.keys import hash_in, next_place

group = typer.Typer()


@group.command()
def leave(
    texts_to: Annotated[
        str | None,
        typer.Option(metavar="BUCKET", help="First copy the tutorials' texts to the product's bucket."),
    ] = None,
    forget: Annotated[
        bool, typer.Option("--forget", help="Remove the former content and the register of erasures, too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask after the preview.")] = False,
    stack: Stack = None,
    as_json: Json = False,
) -> None:
    """Remove everything of this system from the product's database, after a preview (docs/adopting.md)."""
    target = Target.named(stack)
    if texts_to == target.bucket.name:
        raise RefusedError(f"the texts are in the bucket {texts_to} already")
    event = {"leave": True, "forget": forget}
    if not yes:
        preview = target.invoke("MigrateDatabaseFunction", event | {"dry_run": True})
        if not as_json:
            _print(preview, target.bucket.name, texts_to)
        if as_json or not sys.stdin.isatty() or not confirmed("Remove it, for ever?"):
            raise RefusedError("nothing was removed: confirm, or use --yes")
    if texts_to is not None:
        errors.print(f"Texts copied to {texts_to}: {copy_texts(target, texts_to)}.")
    result = target.invoke("MigrateDatabaseFunction", event)
    left = [] if texts_to is not None else [key for page in texts_of(target.bucket) for key in page]
    if as_json:
        print_json(result | {"texts": left})
    else:
        _print(result, target.bucket.name, texts_to)
        for key in left:
            output().print(f"text: {key}")


def texts_of(bucket: Bucket) -> Iterator[list[str]]:
    """The keys of every text that this system has written, in pages."""
    after = ""
    while keys := bucket.keys("", after):
        yield [key for key in keys if hash_in(key) is not None]
        after = next_place(keys[-1])


def copy_texts(target: Target, bucket: str) -> int:
    """Copy every text that this system has written to another bucket, with its key; return their number. The
    keys contain a hash of the text, so no other text is overwritten, and a repeated copy changes nothing.
    """

    def copy(key: str) -> None:
        target.s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": target.bucket.name, "Key": key})

    return sum(len(in_parallel(copy, texts)) for texts in texts_of(target.bucket))


def _print(result: dict[str, Any], bucket: str, texts_to: str | None) -> None:
    console = output()
    counts = ", ".join(f"{number} {kind}" for kind, number in result["removed"].items())
    verb = "to remove" if result["dry_run"] else "removed"
    lines = [f"{verb}: {counts}" if counts else "nothing is left to remove"]
    lines += [f"stays: {line}" for line in result["stays"]]
    if texts_to is None:
        lines.append(
            f"stays: the tutorials' texts in the bucket {bucket}, listed after the removal. If it is not the "
            "product's own, the product cannot read them: --texts-to BUCKET copies them"
        )
    lines += [f"for an administrator: {statement};" for statement in result["statements"]]
    for line in lines:
        console.print(line)
