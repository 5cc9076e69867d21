"""`python -m release.building ARCHIVE`: build the checked-out commit as an artefact for every environment."""

import subprocess
from pathlib import Path
from typing import Annotated

import typer

from local_stack.builds import REPOSITORY
from release.sam_build import build_for_aws

from .artifact import Artifact, pack, self_contained
from .command import run


def build(architecture: str = "") -> Artifact:
    """Build the checked-out commit for AWS."""
    return self_contained(build_for_aws(architecture).template, checked_out())


def checked_out() -> str:
    """The checked-out commit, with the suffix `-dirty` if files differ from it."""
    command = ("git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty")
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.strip()


def write_artifact(
    archive: Path,
    architecture: Annotated[str, typer.Option(help="arm64 or x86_64; the template's default if empty.")] = "",
) -> None:
    """Build the checked-out commit and write it as one archive, with its bill of materials beside it."""
    built = build(architecture)
    bill = pack(built, archive)
    typer.echo(f"{archive}: {built.commit} for {built.architecture}; its packages: {bill}")


if __name__ == "__main__":
    run(write_artifact)
