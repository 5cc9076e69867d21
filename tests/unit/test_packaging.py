"""The package's declarations agree with each other."""

import tomllib

from local_stack.builds import REPOSITORY

PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
WHEEL = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]


def test_the_package_depends_on_what_the_layer_holds() -> None:
    assert set(PROJECT["dependency-groups"]["layer"]) <= set(PROJECT["project"]["dependencies"])


def test_the_wheel_holds_the_deployment() -> None:
    for source, target in WHEEL["force-include"].items():
        assert (REPOSITORY / source).exists()
        assert target == f"local_stack/product/{source}"
