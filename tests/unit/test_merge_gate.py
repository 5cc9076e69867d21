"""The merge gate and the forge's CI run the same targets, and the nightly run runs each of its parts."""

import re
import subprocess
import tomllib
from pathlib import Path

import yaml

from local_stack.template_file import read_template

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


def nightly_parts() -> set[str]:
    """The targets that `make nightly` runs."""
    (parts,) = re.findall(r"^NIGHTLY := (.+)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    return set(parts.split())


def test_every_part_of_the_nightly_run_exists() -> None:
    assert nightly_parts() - defined_targets() == set()


def test_no_part_of_the_nightly_run_blocks_a_change() -> None:
    """They depend on the speed of the machine, or take long."""
    assert {call.split()[0] for call in targets_in(".ci/run")} & nightly_parts() == set()


def test_the_forge_runs_the_nightly_checks_on_a_schedule() -> None:
    workflow = yaml.safe_load((REPOSITORY / ".github/workflows/nightly.yml").read_text())
    assert workflow[True]["schedule"]  # YAML 1.1 reads the key `on` as true
    assert targets_in(".github/workflows/nightly.yml") == {"nightly"}


def test_the_forge_tests_the_oldest_python_and_that_of_the_functions() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    runtime = read_template(REPOSITORY / "template.yaml")["Globals"]["Function"]["Runtime"]
    ci = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text())
    versions = ci["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert versions == [project["requires-python"].removeprefix(">="), runtime.removeprefix("python")]


def test_a_failed_part_of_the_nightly_run_hides_no_other_part() -> None:
    run = make("nightly", "NIGHTLY=absent-1 help absent-2")
    assert run.returncode != 0
    assert "make previous-release" in run.stdout, "the part between the failed ones ran"
    assert "Failed: absent-1 absent-2\n" in run.stderr


def test_a_nightly_run_without_a_failed_part_succeeds() -> None:
    run = make("nightly", "NIGHTLY=help")
    assert (run.returncode, run.stderr) == (0, "")
