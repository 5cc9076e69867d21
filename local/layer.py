"""The layer, built by the very Makefile that `sam build` calls, for the Python that runs here.

Its packages are kept apart from our own code: they change with the lock file alone, our code all the time.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .builds import LOCAL, REPOSITORY, build_once, fingerprint, source_files

SOURCE = REPOSITORY / "layers/common"


def build_layer(source: Path = SOURCE) -> Path:
    """The folder that holds the built layer, as Lambda would unpack it to `/opt`."""
    makefile, lock, code = source / "Makefile", source / "requirements.txt", source / "roadmap_content"
    packages = build_once(
        LOCAL / "layer" / f"packages-{fingerprint(makefile, lock)}",
        lambda directory: _make(source, "packages", directory),
    )

    def build(directory: Path) -> None:
        # Links, not copies: they take no space, and nobody writes to a built layer.
        shutil.copytree(packages, directory, copy_function=os.link)
        _make(source, "code", directory)

    files = source_files(code)
    names = "\n".join(str(file.relative_to(code)) for file in files)
    return build_once(LOCAL / "layer" / fingerprint(packages.name, names, *files), build)


def _make(source: Path, target: str, directory: Path) -> None:
    variables = (f"ARTIFACTS_DIR={directory}", f"PYTHON={sys.executable}", "PIP_TARGET_ARGS=")
    subprocess.run(["make", "--silent", "-C", source, target, *variables], check=True)
