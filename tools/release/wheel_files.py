"""The build hook of the wheel: it gets the files that git tracks, and no others.

Hatchling itself takes every file of a package's folder that git does not ignore: a copy, a note, a key.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class TrackedFiles(BuildHookInterface[Any]):
    """Adds the sources of the option `sources` (a path in the repository: its path in the wheel)."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Select the files. An editable installation refers to the folders instead."""
        if version == "editable":
            return
        root = Path(self.root)
        for source, target in self.config["sources"].items():
            for path in tracked_files(root, source):
                build_data["force_include"][str(root / path)] = str(target / path.relative_to(source))


def tracked_files(root: Path, source: str) -> list[Path]:
    """The tracked files in a folder, or the file itself, relative to the repository.

    An archive of the sources has no `.git` and no other files.

    Raises:
        subprocess.CalledProcessError: git cannot read the repository; its message is on stderr.
    """
    if not (root / ".git").exists():
        walked = os.walk(root / source, followlinks=True)
        found = [Path(folder, name) for folder, _, names in walked for name in names] or [root / source]
        return sorted(path.relative_to(root) for path in found if path.is_file() and path.suffix != ".pyc")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", source], cwd=root, stdout=subprocess.PIPE, text=True, check=True
    )
    found = []
    for path in map(Path, filter(None, listed.stdout.split("\0"))):
        if (root / path).is_dir():  # a link to a folder, whose files git lists under their own names
            target = (root / path).resolve().relative_to(root.resolve())
            found += [path / each.relative_to(target) for each in tracked_files(root, str(target))]
        elif (root / path).is_file():  # a deleted file is still listed until it leaves the index
            found.append(path)
    return found
