"""Cached builds, in directories named after a fingerprint of their inputs."""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from platformdirs import user_data_path

_CHECKOUT = Path(__file__).resolve().parents[2]
_IN_CHECKOUT = (_CHECKOUT / "template.yaml").is_file()

REPOSITORY = _CHECKOUT if _IN_CHECKOUT else Path(__file__).resolve().parent / "product"
"""The deployment's files: the checkout, or the copy in an installed package."""

_OF_THE_USER = user_data_path("roadmap-content")
LOCAL = _CHECKOUT / ".local" if _IN_CHECKOUT else _OF_THE_USER
"""Local files: built layers, environments, the data of the local stack. Never committed."""

LAST_STACK = _OF_THE_USER / "last-stack"
"""Contains the folder of the last stack: each checkout, and an installed package, has its own."""


def build_once(directory: Path, build: Callable[[Path], None]) -> Path:
    """Return `directory`; build it with `build` if it does not exist.

    The build is atomic: it is made in a temporary directory and then renamed. If several processes need it at
    the same time, one builds it and the others wait.
    """
    if directory.exists():
        return directory
    directory.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(directory.with_name(f"{directory.name}.lock")):
        if not directory.exists():
            unfinished = directory.with_name(f"{directory.name}.unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            build(unfinished)
            unfinished.rename(directory)
    return directory


def fingerprint(*parts: str | Path) -> str:
    """A short hash of the given texts, of the contents of the given files, and of the Python version."""
    digest = hashlib.sha256(f"{sys.implementation.cache_tag}".encode())
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part.encode()
        digest.update(b"%d:" % len(content) + content)
    return digest.hexdigest()[:16]


def source_files(directory: Path) -> list[Path]:
    """The files of a source tree in a fixed order, without compiled files."""
    if not directory.is_dir():
        raise FileNotFoundError(f"there is no folder {directory}")
    # `sam build` follows links, too: the console's function contains its page by a link.
    return sorted(
        Path(folder, name)
        for folder, _, names in os.walk(directory, followlinks=True)
        if "__pycache__" not in Path(folder).parts
        for name in names
    )
