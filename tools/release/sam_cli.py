"""Run the SAM CLI."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from local_stack.builds import LOCAL
from local_stack.environments import environment_python
from local_stack.processes import Output, run


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
