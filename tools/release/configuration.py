"""Read the configuration of an environment from `samconfig.toml`."""

import shlex
import tomllib
from pathlib import Path


class NoSuchEnvironmentError(Exception):
    """`samconfig.toml` has no such environment."""


def overrides_in(path: Path, environment: str) -> dict[str, str]:
    """The parameters of an environment: its `parameter_overrides`, in either form.

    Raises:
        NoSuchEnvironmentError: there is no such environment.
    """
    configuration = tomllib.loads(path.read_text())
    if environment not in configuration:
        known = ", ".join(name for name in configuration if name != "version")
        raise NoSuchEnvironmentError(f"{path.name} has no environment {environment!r}, only {known}")
    given = configuration[environment].get("deploy", {}).get("parameters", {}).get("parameter_overrides", [])
    pairs = shlex.split(given) if isinstance(given, str) else given
    return dict(pair.split("=", 1) for pair in pairs)
