"""The declarations of the package are consistent."""

import tomllib
from pathlib import Path

from local_stack.builds import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
SOURCES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["sources"]


def test_the_package_has_the_dependencies_of_the_layer() -> None:
    assert set(PROJECT["dependency-groups"]["layer"]) <= set(PROJECT["project"]["dependencies"])


def test_the_wheel_contains_the_files_of_the_deployment() -> None:
    for source, target in SOURCES.items():
        assert (REPOSITORY / source).exists()
        assert target in (f"local_stack/product/{source}", Path(source).name), target


def test_the_wheel_contains_the_files_of_a_local_stack() -> None:
    for read in ("template.yaml", "database/roles.sql", "statemachine", "functions"):
        assert read in SOURCES, read
