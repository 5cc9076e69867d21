"""Two Python environments apart from the one that runs this, made from lock files.

`cloud` runs the local cloud, which pins botocore. `runtime` is what the Lambda runtime brings and nothing
more, so that a package that is missing in the layer is missing here too.
"""

import subprocess
import sys
from pathlib import Path
from typing import Literal

from .builds import LOCAL, REPOSITORY, build_once, fingerprint


def environment_python(name: Literal["cloud", "runtime"]) -> Path:
    """The interpreter of an environment, which is made where there is none; run its modules with `-m`."""
    lock = REPOSITORY / "requirements" / f"{name}.txt"

    def build(directory: Path) -> None:
        # Its own pip is left out: that of the environment which runs this installs into it.
        _run("-m", "venv", "--without-pip", directory)
        _run(
            *("-m", "pip", "--python", directory / "bin/python", "install", "--quiet"),
            *("--disable-pip-version-check", "--require-hashes", "--no-deps", "--requirement", lock),
        )

    return build_once(LOCAL / "environments" / f"{name}-{fingerprint(lock)}", build) / "bin/python"


def _run(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, *arguments], check=True)
