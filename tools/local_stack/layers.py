"""The layers, built by the very Makefile that `sam build` calls, for the Python that runs here.

Their packages are kept apart from our own code: they change with the lock files alone, our code all the time.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from .builds import LOCAL, REPOSITORY, build_once, fingerprint, source_files

MAKEFILE = REPOSITORY / "layers/common/Makefile"
VARIABLES = (f"PYTHON={sys.executable}", "TARGET=host")


class Layer(NamedTuple):
    """Where a layer's lock file is, and its code: the folder, and the Makefile's target that copies it."""

    source: Path
    code: Path | None = None
    code_target: str = ""


def _package(name: str) -> Path:
    """The folder of a package of ours: in the checkout, or where it is installed."""
    spec = find_spec(name)
    assert spec is not None and spec.origin is not None  # noqa: S101, PT018 - both are in this distribution
    return Path(spec.origin).parent


LAYERS: Mapping[str, Layer] = {
    "CommonLayer": Layer(REPOSITORY / "layers/common", _package("roadmap_content"), "code-common"),
    "AuthorizationLayer": Layer(REPOSITORY / "layers/authorization"),
    "MigrationLayer": Layer(_package("migrations"), _package("migrations"), "code-migration"),
}
"""The template's layers, by logical id."""


def build_layers() -> dict[str, Path]:
    """The folders that hold the built layers, as Lambda would unpack each to `/opt`; by logical id."""
    return {logical_id: build_layer(layer) for logical_id, layer in LAYERS.items()}


def build_layer(layer: Layer) -> Path:
    """The folder that holds a built layer."""
    lock = layer.source / "requirements.txt"
    packages = build_once(
        LOCAL / "layer" / f"packages-{fingerprint(*VARIABLES, MAKEFILE, lock)}",
        lambda directory: _make(layer.source, "packages", directory),
    )
    if layer.code is None:
        return packages

    def build(directory: Path) -> None:
        # Links, not copies: they take no space, and nobody writes to a built layer.
        shutil.copytree(packages, directory, copy_function=os.link)
        _make(layer.source, layer.code_target, directory)

    files = source_files(layer.code)
    names = "\n".join(str(file.relative_to(layer.code)) for file in files)
    return build_once(LOCAL / "layer" / fingerprint(packages.name, names, *files), build)


def _make(source: Path, target: str, directory: Path) -> None:
    command = ("make", "--silent", "--directory", source, "--makefile", MAKEFILE, target)
    code = f"CODE={_package('roadmap_content')}"
    subprocess.run([*command, f"ARTIFACTS_DIR={directory}", code, *VARIABLES], check=True)
