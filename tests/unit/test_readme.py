"""The commands that documents and CI name exist."""

import re

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
