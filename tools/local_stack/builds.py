"""What is built once and then kept, under a name that says what it was built from."""

import hashlib
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock
from platformdirs import user_data_path

_CHECKOUT = Path(__file__).resolve().parents[2]
_IN_CHECKOUT = (_CHECKOUT / "template.yaml").is_file()

REPOSITORY = _CHECKOUT if _IN_CHECKOUT else Path(__file__).resolve().parent / "product"
"""The deployment's files: the checkout, or the copy of them that an installed package holds."""

LOCAL = _CHECKOUT / ".local" if _IN_CHECKOUT else user_data_path("roadmap-content")
"""Files of this machine: built layers, environments, the local stack's data. Never committed."""


def build_once(directory: Path, build: Callable[[Path], None]) -> Path:
    """Return `directory`, built by `build` unless it is there already.

    It is there wholly or not at all: it is built beside, then renamed. Of several processes that want it at
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
    """A short name for the given texts and for the contents of the given files, on the Python that runs."""
    digest = hashlib.sha256(f"{sys.implementation.cache_tag}".encode())
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else part.encode()
        digest.update(b"%d:" % len(content) + content)
    return digest.hexdigest()[:16]


def source_files(directory: Path) -> list[Path]:
    """The files of a source tree in a fixed order, without what Python leaves beside them."""
    if not directory.is_dir():
        raise FileNotFoundError(f"there is no folder {directory}")
    return sorted(path for path in directory.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
