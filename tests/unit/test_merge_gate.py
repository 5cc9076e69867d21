"""The merge gate and the forge's CI run the same targets, and the nightly run runs each of its parts."""

import re
import subprocess
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
CALL = re.compile(r"^ *(?:- run: )?make (.+)$", re.MULTILINE)


def targets_in(path: str) -> set[str]:
    """The make targets in a file, with their variables, without `setup`."""
    return set(CALL.findall((REPOSITORY / path).read_text())) - {"setup"}


def defined_targets() -> set[str]:
    """The targets of the Makefile."""
    return set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in the repository."""
    return subprocess.run(
        ("make", "--no-print-directory", *arguments),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_forge_runs_what_the_gate_runs() -> None:
    assert targets_in(".github/workflows/ci.yml") == targets_in(".ci/run") != set()


def test_every_target_of_the_merge_gate_and_of_the_nightly_run_exists() -> None:
    called = targets_in(".ci/run") | targets_in(".github/workflows/nightly.yml")
    assert {call.split()[0] for call in called} - defined_targets() == set()


def test_every_part_of_the_nightly_run_exists() -> None:
    (parts,) = re.findall(r"^NIGHTLY := (.+)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert set(parts.split()) - defined_targets() == set()


def test_a_failed_part_of_the_nightly_run_hides_no_other_part() -> None:
    run = make("nightly", "NIGHTLY=absent-1 help absent-2")
    assert run.returncode != 0
    assert "make previous-release" in run.stdout, "the part between the failed ones ran"
    assert "Failed: absent-1 absent-2\n" in run.stderr


def test_a_nightly_run_without_a_failed_part_succeeds() -> None:
    run = make("nightly", "NIGHTLY=help")
    assert (run.returncode, run.stderr) == (0, "")
