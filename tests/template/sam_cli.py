"""Run the SAM CLI in its environment, without AWS."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local_stack.environments import environment_python

_REPORT = """
import inspect, json, sys
import samcli.commands.deploy.command as command
names = list(inspect.signature(command.do_cli).parameters)
command.do_cli = lambda *given, **named: print(json.dumps(dict(zip(names, given)) | named, default=str))
from samcli.cli.main import cli
cli(sys.argv[1:])
"""


def read_deploy_options(command: Sequence[str | Path], directory: Path) -> dict[str, Any]:
    """What the SAM CLI understands of a `sam deploy` command line, with its configuration file."""
    assert command[1:3] == ["-m", "samcli"]
    done = run([command[0], "-c", _REPORT, *command[3:]], directory, {})
    assert done.returncode == 0, done.stdout + done.stderr
    options: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return options


def run_sam(
    arguments: Sequence[str | Path], directory: Path, endpoint: str
) -> subprocess.CompletedProcess[str]:
    """Run a SAM command that sends its requests to `endpoint`."""
    command = [environment_python("sam"), "-m", "samcli", *arguments]
    return run(command, directory, {"AWS_ENDPOINT_URL": endpoint})


def run(
    command: Sequence[str | Path], directory: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command with credentials that lead nowhere."""
    return subprocess.run(
        command,
        cwd=directory,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "__SAM_CLI_APP_DIR": str(directory / "sam-app"),
            "SAM_CLI_TELEMETRY": "0",
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            **environment,
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
