"""Run the SAM CLI in its environment, without AWS."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local_stack.environments import environment_python

_REPORT = """
import inspect, json, os, sys
import samcli.commands.deploy.command as command
from samcli.cli.main import cli
names = list(inspect.signature(command.do_cli).parameters)
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
understood = []
command.do_cli = lambda *given, **named: understood.append(dict(zip(names, given)) | named)
for line in sys.stdin:
    arguments, directory = json.loads(line)
    os.chdir(directory)
    cli(arguments, standalone_mode=False)
    print(json.dumps(understood.pop(), default=str), file=answers, flush=True)
"""


DeployOptions = Callable[[Sequence[str | Path], Path], dict[str, Any]]


@contextmanager
def deploy_options(home: Path) -> Iterator[DeployOptions]:
    """Reads the options that the SAM CLI finds in a `sam deploy` command line and its configuration file.

    One process reads all command lines: the SAM CLI's start takes seconds.
    """
    with subprocess.Popen(
        [environment_python("sam"), "-c", _REPORT],
        env=_environment(home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as reporter:
        assert reporter.stdin
        assert reporter.stdout
        asked, answered = reporter.stdin, reporter.stdout

        def read(command: Sequence[str | Path], directory: Path) -> dict[str, Any]:
            assert command[:3] == [environment_python("sam"), "-m", "samcli"]
            asked.write(json.dumps([list(map(str, command[3:])), str(directory)]) + "\n")
            asked.flush()
            options: dict[str, Any] = json.loads(answered.readline())
            return options

        yield read


def run_sam(
    arguments: Sequence[str | Path], directory: Path, endpoint: str
) -> subprocess.CompletedProcess[str]:
    """Run a SAM command that sends its requests to `endpoint`."""
    return subprocess.run(
        [environment_python("sam"), "-m", "samcli", *arguments],
        cwd=directory,
        env=_environment(directory) | {"AWS_ENDPOINT_URL": endpoint},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def _environment(directory: Path) -> dict[str, str]:
    """Variables with credentials that lead nowhere."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(directory),
        "__SAM_CLI_APP_DIR": str(directory / "sam-app"),
        "SAM_CLI_TELEMETRY": "0",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
