"""Read the configuration of an environment from `samconfig.toml`."""

import shlex
import tomllib
from pathlib import Path
from typing import Any

from local_stack.builds import REPOSITORY

from .errors import ReleaseError

CONFIGURATION = REPOSITORY / "samconfig.toml"


def overrides_in(path: Path, environment: str) -> dict[str, str]:
    """The parameters of an environment: its `parameter_overrides`, in either form.

    Raises:
        ReleaseError: there is no such environment.
    """
    given = settings_in(path, environment).get("parameter_overrides", [])
    # In a list, SAM requires quotes around a value with spaces, too.
    pairs = shlex.split(given) if isinstance(given, str) else [" ".join(shlex.split(each)) for each in given]
    return dict(pair.split("=", 1) for pair in pairs)


def settings_in(path: Path, environment: str) -> dict[str, Any]:
    """The settings of `sam deploy` for an environment.

    Raises:
        ReleaseError: there is no such environment.
    """
    settings: dict[str, Any] = _environment(path, environment).get("deploy", {}).get("parameters", {})
    return settings


def stack_in(path: Path, environment: str) -> str:
    """The stack of an environment.

    Raises:
        ReleaseError: there is no such environment.
    """
    name: str = _environment(path, environment)["global"]["parameters"]["stack_name"]
    return name


def _environment(path: Path, name: str) -> dict[str, Any]:
    configuration = tomllib.loads(path.read_text())
    if name not in configuration:
        known = ", ".join(each for each in configuration if each != "version")
        raise ReleaseError(f"{path.name} has no environment {name!r}, only {known}")
    environment: dict[str, Any] = configuration[name]
    return environment
