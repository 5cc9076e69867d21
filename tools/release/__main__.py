"""`python -m release ENVIRONMENT`: build and deploy the checked-out commit as one release."""

import json
import os
import subprocess
import sys
from typing import Annotated

import typer

from checks.sam.building import build_for_aws
from checks.sam.command import sam_command
from local_stack.builds import REPOSITORY
from local_stack.template_file import read_template
from roadmap_content.errors import ContentError

from .configuration import NoSuchEnvironmentError, overrides_in
from .stamp import parameters_of, release_of, require_filled_in, stamped

CONFIGURATION = REPOSITORY / "samconfig.toml"


def deploy(
    environment: str,
    commit: Annotated[str, typer.Option(help="What is deployed; without it, the checked-out commit.")] = "",
) -> None:
    """Build and deploy an environment of samconfig.toml as one release."""
    parameters = parameters_of(
        read_template(REPOSITORY / "template.yaml"), overrides_in(CONFIGURATION, environment)
    )
    require_filled_in(parameters)
    release = release_of(commit or checked_out(), parameters)
    built = build_for_aws(parameters["Architecture"])
    template = built.template.with_name("release.json")
    template.write_text(json.dumps(stamped(read_template(built.template), release)))
    typer.echo(f"release {release} → {environment}")
    command = sam_command("deploy", "--config-env", environment, "--template-file", template)
    done = subprocess.run(command, cwd=REPOSITORY, env={**os.environ, "SAM_CLI_TELEMETRY": "0"})
    sys.exit(done.returncode)


def checked_out() -> str:
    """The checked-out commit, with the suffix `-dirty` if files differ from it."""
    command = ("git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty")
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    try:
        typer.run(deploy)
    except (ContentError, NoSuchEnvironmentError, ValueError) as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
