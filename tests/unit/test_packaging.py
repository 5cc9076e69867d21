"""The declarations of the package are consistent."""

import re
import tomllib
from importlib.metadata import requires
from pathlib import Path

from local_stack.builds import REPOSITORY
from local_stack.environments import INSTALL
from local_stack.layers import MAKEFILE

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


def test_pip_never_resolves_what_a_lock_file_pins() -> None:
    """Otherwise the pip of Python 3.11 refuses a complete lock file, as soon as a package that another one
    requires with an extra has a newer release.
    """
    texts = [(REPOSITORY / "Makefile").read_text(), MAKEFILE.read_text(), " ".join(INSTALL)]
    for text in texts:
        lines = [line for line in text.splitlines() if "install" in line and "--require-hashes" in line]
        assert lines
        assert all("--no-deps" in line for line in lines)


def test_an_isolated_build_installs_the_locked_backend() -> None:
    backend = PROJECT["build-system"]["requires"]
    locked = re.findall(r"^\S+==[^\s;]+", (REPOSITORY / "requirements/dev.txt").read_text(), re.MULTILINE)
    assert set(backend) <= set(locked)
    needed = {
        re.split(r"[^A-Za-z0-9_.-]", each)[0] for each in requires("hatchling") or () if "python" not in each
    }
    assert needed | {"hatchling"} == {each.partition("==")[0] for each in backend}
