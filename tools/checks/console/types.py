"""Check the console's JSDoc types with `tsc`. The sources are served unchanged, without a build."""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from checks.npm import node, npm_packages
from local_stack.builds import REPOSITORY

HERE = Path(__file__).parent


def check_types() -> str:
    """The findings of `tsc --noEmit` in the console's modules; empty if there are none."""
    packages = npm_packages(HERE)
    # In a separate folder, next to the packages with the types that they use.
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        shutil.copytree(REPOSITORY / "console", folder / "assets")
        shutil.copy(HERE / "tsconfig.json", folder)
        (folder / "node_modules").symlink_to(packages)
        command: list[str | Path] = [
            node() / "bin/node",
            packages / "typescript/bin/tsc",
            "--project",
            folder,
            "--pretty",
            "false",
        ]
        said = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return said.stdout + said.stderr if said.returncode else ""


if __name__ == "__main__":
    sys.exit(check_types() or None)
