"""The commands that documents and CI name exist."""

import re
import subprocess

from local_stack.builds import REPOSITORY

NAMED_IN = {
    *REPOSITORY.glob("*.md"),
    *REPOSITORY.glob("docs/*.md"),
    *REPOSITORY.glob(".github/workflows/*.yml"),
} - {REPOSITORY / "CHANGELOG.md"}  # it names what went
COMMAND = re.compile(r"(?:`|^|\$ |run: )make ([a-z-]+)", re.MULTILINE)


def defined() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))


def test_every_make_target_exists() -> None:
    named = {(path.name, target) for path in NAMED_IN for target in COMMAND.findall(path.read_text())}
    assert {"README.md", "CONTRIBUTING.md", "ci.yml", "deploy.yml"} <= {name for name, _ in named}
    assert {(name, target) for name, target in named if target not in defined()} == set()


def test_each_figure_of_the_documents_has_a_command_in_the_nightly_run() -> None:
    dump = subprocess.run(
        ("make", "--print-data-base", "--dry-run", "help"),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (parts,) = re.findall(r"^NIGHTLY := (.*)", dump, re.MULTILINE)
    page = (REPOSITORY / "docs/performance.md").read_text()
    commands = re.findall(r"^## .*`(.+)`$", page, re.MULTILINE)
    assert len(commands) == page.count("\n## ")
    others = ".venv/bin/python -m documents.cost", "make drill", "make drill DRILL=restore"
    assert {*commands, *others} <= {part.replace("+", " ") for part in parts.split()}


def test_the_nightly_run_goes_on_after_a_failed_part_and_ends_with_a_line_for_each() -> None:
    # With newer lock files, it would make the environment anew in which this test runs.
    options = "--no-print-directory", "--assume-old=.venv/.installed"
    run = subprocess.run(
        ("make", *options, "nightly", "OFFLINE=1", "NIGHTLY=audit absent-1 help absent-2"),
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode != 0
    lines = [re.sub(r"\d+ s$", "0 s", line) for line in run.stdout.splitlines()[-4:]]
    assert lines == [
        "audit: left out",
        "absent-1: FAILED in 0 s",
        "help: passed in 0 s",
        "absent-2: FAILED in 0 s",
    ]
