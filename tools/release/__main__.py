"""`python -m release ENVIRONMENT`: deploy the checked-out commit, or an artefact, as one release.

The preflight only reads. Exit codes: 0, 1 (something is wrong), 3 (AWS cannot be reached).
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import boto3
import typer
from botocore.exceptions import BotoCoreError, ClientError

from local_stack.builds import REPOSITORY
from local_stack.template_file import read_template
from release.sam_cli import sam_command

from .artifact import Artifact, unpack
from .building import build
from .clients import Clients, clients_of
from .command import run
from .configuration import CONFIGURATION, overrides_in, settings_in, stack_in
from .errors import ReleaseError
from .preflight.problem import Target
from .preflight.report import require_prepared
from .preflight.stack import rollback_of
from .pruning import KEPT, prune
from .stamp import parameters_of, release_of, require_filled_in, stamped


def deploy(
    environment: str,
    artifact: Annotated[Path | None, typer.Option(help="Deploy this artefact instead of building.")] = None,
    preflight: Annotated[bool, typer.Option("--preflight", help="Only read the account.")] = False,
    unchecked: Annotated[bool, typer.Option("--unchecked", help="Do not run the preflight.")] = False,
    keep: Annotated[int, typer.Option(min=1, help="The newest releases that are kept, used or not.")] = KEPT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before the change set is executed.")] = False,
) -> None:
    """Deploy to an environment of samconfig.toml."""
    overrides = overrides_in(CONFIGURATION, environment)
    parameters = parameters_of(read_template(REPOSITORY / "template.yaml"), overrides)
    require_filled_in(settings_in(CONFIGURATION, environment) | parameters)
    session, stack = boto3.Session(), stack_in(CONFIGURATION, environment)
    clients = clients_of(session)
    if not unchecked:
        require_prepared(Target(stack, session.region_name or "", parameters), clients)
    if preflight:
        return
    with TemporaryDirectory(prefix="roadmap-release-") as folder:
        architecture = parameters["Architecture"]
        built = unpack(artifact, Path(folder)) if artifact else build(architecture)
        require_architecture(built, architecture)
        release = release_of(
            built.commit, read_template(built.template), parameters, rollback_of(clients, stack)
        )
        typer.echo(f"release {release} → {environment}")
        command = deploy_command(built, environment, overrides, release, ask=not yes)
        done = subprocess.run(command, cwd=REPOSITORY, env={**os.environ, "SAM_CLI_TELEMETRY": "0"})
    if done.returncode == 0:
        remove_old(clients, stack, keep)
    sys.exit(done.returncode)


def remove_old(clients: Clients, stack: str, keep: int) -> None:
    """Remove the releases that nothing can run any more. After an error, the next deployment does."""
    try:
        removed = list(prune(clients, stack, keep))
        typer.echo(f"versions of old releases removed: {len(removed)}")
    except (BotoCoreError, ClientError) as error:
        typer.echo(f"old releases are not all removed: {error}", err=True)


def require_architecture(built: Artifact, architecture: str) -> None:
    """Refuse an artefact that the functions of the environment could not load.

    Raises:
        ReleaseError: the architectures differ.
    """
    if built.architecture != architecture:
        raise ReleaseError(
            f"the artefact is for {built.architecture}, the environment's Architecture is {architecture}: "
            f"build it with --architecture {architecture}"
        )


def deploy_command(
    built: Artifact, environment: str, overrides: Mapping[str, str], release: str, *, ask: bool
) -> list[str | Path]:
    """Write the template and the parameters of a release, and return the command that deploys them.

    SAM looks for `samconfig.toml` beside the template, and cuts its values at the first space. So it gets
    the absolute path of the one, and the other as a file.
    """
    template = built.template.with_name("release.json")
    template.write_text(json.dumps(stamped(read_template(built.template), release)))
    parameters = built.template.with_name("parameters.yaml")
    parameters.write_text(json.dumps(dict(overrides)))
    return sam_command(
        *("deploy", "--config-file", CONFIGURATION, "--config-env", environment),
        *("--template-file", template),
        *(["--parameter-overrides", f"file://{parameters}"] if overrides else []),
        *([] if ask else ["--no-confirm-changeset"]),
    )


if __name__ == "__main__":
    run(deploy)
