"""Find Python 3.13, the version of the functions' runtime. Only it can load the result of `sam build`."""

import shutil
import subprocess
import sys
from pathlib import Path

from checks.debian import install, is_root_on_debian
from tests.sam.errors import MissingOnThisMachineError

NAME = "python3.13"


def find_python313() -> Path:
    """Find Python 3.13; install it if it is missing and can be installed.

    Raises:
        MissingOnThisMachineError: it cannot be installed.
    """
    found = _look()
    if found is None and is_root_on_debian():
        install(NAME)
        found = _look()
    if found is None:
        raise MissingOnThisMachineError(f"{NAME}, the functions' runtime, is not installed")
    return found


def _look() -> Path | None:
    # A command on the PATH may be a shim of a version manager without this version.
    candidates = (sys.executable, shutil.which(NAME), f"/usr/bin/{NAME}", f"/usr/local/bin/{NAME}")
    return next((Path(each) for each in candidates if each and _is_python313(each)), None)


def _is_python313(candidate: str) -> bool:
    question = "import sys; sys.exit(sys.version_info[:2] != (3, 13))"
    try:
        return subprocess.run([candidate, "-c", question], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
