"""The bill of materials of a build, as CycloneDX 1.6: the packages that are in its layers."""

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any


def bill_of_materials(folder: Path, commit: str) -> dict[str, Any]:
    """Read from the layers themselves and not from the lock files, so that it lists the deployed packages."""
    packages = {_identifier(each): each for each in _installed(folder)}
    product = {"type": "application", "name": "roadmap-content", "version": commit, "bom-ref": "product"}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": product},
        "components": [_component(packages[identifier], identifier) for identifier in sorted(packages)],
        "dependencies": [{"ref": "product", "dependsOn": sorted(packages)}],
    }


def _installed(folder: Path) -> Iterator[Distribution]:
    for layer in sorted(folder.glob("*/python")):
        yield from distributions(path=[str(layer)])


def _identifier(package: Distribution) -> str:
    name = re.sub(r"[-_.]+", "-", package.metadata["Name"]).lower()
    return f"pkg:pypi/{name}@{package.version}"


def _component(package: Distribution, identifier: str) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": identifier,
        "name": package.metadata["Name"],
        "version": package.version,
        "purl": identifier,
    }
    if "License-Expression" in package.metadata:
        component["licenses"] = [{"expression": package.metadata["License-Expression"]}]
    return component
