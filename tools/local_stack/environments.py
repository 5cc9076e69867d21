"""Python environments apart from the one that runs this, made from lock files.

`cloud` runs the local cloud, `sam` the SAM CLI and `verify` the linters; each pins botocore. `faults` runs
schemathesis, `peers` the libraries that `make bench-peers` compares with. `runtime` is what the Lambda
runtime brings and nothing more, so that a package that is missing in the layer is missing here too.
"""

import subprocess
import sys
from pathlib import Path
from typing import Literal

from .builds import LOCAL, REPOSITORY, build_once, fingerprint

Environment = Literal["cloud", "faults", "peers", "runtime", "sam", "verify"]


def environment_python(name: Environment, base: Path | None = None) -> Path:
    """The interpreter of an environment, which is made where there is none; run its modules with `-m`.

    It is made by `base`, or by the Python that runs this.
    """
    lock = REPOSITORY / "requirements" / f"{name}.txt"

    def build(directory: Path) -> None:
        # Its own pip is left out: that of the environment which runs this installs into it.
        subprocess.run([base or sys.executable, "-m", "venv", "--without-pip", directory], check=True)
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "--python", directory / "bin/python", "install", "--quiet"),
                *("--disable-pip-version-check", "--require-hashes", "--no-deps", "--requirement", lock),
            ],
            check=True,
        )

    made_from = fingerprint(lock) if base is None else fingerprint(lock, str(base))
    return build_once(LOCAL / "environments" / f"{name}-{made_from}", build) / "bin/python"
