"""The merge gate and the forge's CI run the same targets, and each target exists."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CALL = re.compile(r"^ *(?:- run: )?make (.+)$", re.MULTILINE)


def targets_in(path: str) -> set[str]:
    """The make targets in a file, with their variables, without `setup`."""
    return set(CALL.findall((REPOSITORY / path).read_text())) - {"setup"}


def test_the_forge_runs_what_the_gate_runs() -> None:
    assert targets_in(".github/workflows/ci.yml") == targets_in(".ci/run") != set()


def test_every_target_of_the_merge_gate_and_of_the_nightly_run_exists() -> None:
    defined = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    called = targets_in(".ci/run") | targets_in(".github/workflows/nightly.yml")
    assert {call.split()[0] for call in called} - defined == set()
