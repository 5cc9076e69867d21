"""Separate Python environments, installed from lock files.

`cloud` runs the local cloud, `sam` the SAM CLI and the AWS CLI, `checks` linters, the audit and generators:
each pins botocore. `runtime` has only the packages of the Lambda runtime, so that a package that is missing
in the layer is also missing here.
"""

import sys
from pathlib import Path
from typing import Literal

from .builds import LOCAL, REPOSITORY, build_once, fingerprint
from .processes import build

INSTALL = ("install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes")
"""Pip's command for a lock file. The file is complete, so pip must not resolve (see the Makefile)."""

_COMPILED = ("cloud", "runtime")
"""Environments in which functions run. In the others, Python compiles only the modules that are imported."""

Environment = Literal["checks", "cloud", "runtime", "sam"]


def environment_python(name: Environment, base: Path | None = None) -> Path:
    """The interpreter of an environment, which is created if it does not exist. Run its modules with `-m`.

    It is created with `base`, or with the current Python.
    """

    def create(directory: Path) -> None:
        # Without its own pip: the current environment's pip installs the packages.
        build(base or sys.executable, "-m", "venv", "--without-pip", directory)
        pip = (sys.executable, "-m", "pip", "--python", directory / "bin/python")
        install = INSTALL if name in _COMPILED else (*INSTALL, "--no-compile")
        build(*pip, *install, "--requirement", _lock(name))
        build(*pip, "check", "--quiet")

    return build_once(_directory(name, base), create) / "bin/python"


def is_created(name: Environment) -> bool:
    return _directory(name).exists()


def _directory(name: Environment, base: Path | None = None) -> Path:
    lock = _lock(name)
    made_from = fingerprint(lock) if base is None else fingerprint(lock, str(base))
    return LOCAL / "environments" / f"{name}-{made_from}"


def _lock(name: Environment) -> Path:
    return REPOSITORY / "requirements" / f"{name}.txt"
