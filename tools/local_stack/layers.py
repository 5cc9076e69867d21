"""Build the layers with the Makefile that `sam build` uses, for the current Python.

Their packages are built separately from our own code, because they change only with the lock files.
"""

import os
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from .builds import LOCAL, REPOSITORY, build_once, fingerprint, source_files
from .processes import build

MAKEFILE = REPOSITORY / "layers/common/Makefile"
VARIABLES = (f"PYTHON={sys.executable}", "TARGET=host")


class Layer(NamedTuple):
    """A layer's lock file and code: the folder, and the Makefile target that copies it."""

    source: Path
    code: Path | None = None
    code_target: str = ""


def _package(name: str) -> Path:
    """The folder of one of our packages, in the checkout or as installed."""
    spec = find_spec(name)
    assert spec is not None and spec.origin is not None  # noqa: S101, PT018 - both are in this distribution
    return Path(spec.origin).parent


LAYERS: Mapping[str, Layer] = {
    "CommonLayer": Layer(REPOSITORY / "layers/common", _package("roadmap_content"), "code-common"),
    "AuthorizationLayer": Layer(REPOSITORY / "layers/authorization"),
    "MigrationLayer": Layer(_package("migrations"), _package("migrations"), "code-migration"),
}
"""The layers of the template, by logical id."""


def build_layers() -> dict[str, Path]:
    """Build all layers; return their folders by logical id. Lambda unpacks each to `/opt`."""
    return {logical_id: build_layer(layer) for logical_id, layer in LAYERS.items()}


def build_layer(layer: Layer) -> Path:
    """Build a layer; return its folder."""
    lock = layer.source / "requirements.txt"
    packages = build_once(
        LOCAL / "layer" / f"packages-{fingerprint(*VARIABLES, MAKEFILE, lock)}",
        lambda directory: _make(layer.source, "packages", directory),
    )
    if layer.code is None:
        return packages

    def copy(directory: Path) -> None:
        # Hard links instead of copies: they take no space, and a built layer is never written to.
        shutil.copytree(packages, directory, copy_function=os.link)
        _make(layer.source, layer.code_target, directory)

    files = source_files(layer.code)
    names = "\n".join(str(file.relative_to(layer.code)) for file in files)
    return build_once(LOCAL / "layer" / fingerprint(packages.name, names, *files), copy)


def _make(source: Path, target: str, directory: Path) -> None:
    command = ("make", "--silent", "--directory", source, "--makefile", MAKEFILE, target)
    code = f"CODE={_package('roadmap_content')}"
    build(*command, f"ARTIFACTS_DIR={directory}", code, *VARIABLES)
