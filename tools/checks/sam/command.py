"""Run commands, above all the SAM CLI, and show their output if they fail."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from local_stack.builds import LOCAL, REPOSITORY
from local_stack.environments import environment_python

from .errors import CommandFailedError

_LAST_LINES = 30


class Output(NamedTuple):
    """The output of a command."""

    answer: str
    log: str

    @property
    def last_words(self) -> str:
        """The end of the output, for error messages."""
        return "\n".join((self.answer + self.log).strip().splitlines()[-_LAST_LINES:])


def sam(*arguments: str | Path, environment: Mapping[str, str] | None = None) -> Output:
    """Run the SAM CLI in the repository.

    Raises:
        CommandFailedError: it failed.
    """
    return run(*sam_command(*arguments), environment=sam_environment(environment or {}))


def sam_command(*arguments: str | Path) -> list[str | Path]:
    """The command line of the SAM CLI."""
    return [environment_python("sam"), "-m", "samcli", *arguments]


def sam_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of the SAM CLI, without variables of this process that lead to an AWS account."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "__SAM_CLI_APP_DIR": str(LOCAL / "sam"),  # otherwise it writes to the user's home
        "SAM_CLI_TELEMETRY": "0",
        "PYTHON": sys.executable,  # for the layers' Makefile
        **environment,
    }


def run(*command: str | Path, environment: Mapping[str, str] | None = None) -> Output:
    """Run a command in the repository.

    Raises:
        CommandFailedError: it failed.
    """
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    output = Output(done.stdout, done.stderr)
    if done.returncode:
        raise CommandFailedError(f"{' '.join(map(str, command))}\n{output.last_words}")
    return output
