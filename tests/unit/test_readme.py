"""The commands that documents and CI name exist."""

import re
import subprocess

import pytest

from local_stack.builds import REPOSITORY

NAMED_IN = (
    *("README.md", "README.zh.md", "CONTRIBUTING.md", "docs/releasing.md"),
    *(".github/workflows/ci.yml", ".github/workflows/nightly.yml"),
)
COMMAND = re.compile(r"(?:`|^|\$ |run: )make ([a-z-]+)", re.MULTILINE)
PARTS = re.compile(r"^(?:part|lane) ([a-z -]+)", re.MULTILINE)


def defined() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("document", NAMED_IN)
def test_every_make_target_exists(document: str) -> None:
    named = set(COMMAND.findall((REPOSITORY / document).read_text()))
    assert named
    assert named <= defined()


def test_every_part_of_the_gate_exists() -> None:
    parts = " ".join(PARTS.findall((REPOSITORY / ".ci/run").read_text())).split()
    assert {"lint", "sam-local", "coverage", "faults"} <= {*parts} <= defined()


def test_a_failed_part_of_the_nightly_run_hides_no_other_part() -> None:
    run = subprocess.run(
        ("make", "--no-print-directory", "nightly", "NIGHTLY=absent-1 help absent-2"),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    assert "make previous-release" in run.stdout, "the part between the failed ones ran"
    assert "Failed: absent-1 absent-2\n" in run.stderr
