"""`python -m checks.vulnerabilities`: look every locked package up in a database of known vulnerabilities.

A database that does not answer is a failure, and so is one that does not know an old vulnerability.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from local_stack.builds import REPOSITORY
from local_stack.environments import environment_python
from local_stack.steps import console
from roadmap_content.errors import PermanentError

KNOWN = "jinja2==2.4.1"
"""A release with vulnerabilities that every database lists."""


class DatabaseError(PermanentError):
    """The database of vulnerabilities gave no usable answer."""

    code = "VulnerabilityDatabase"


def locks() -> list[Path]:
    """The lock files of the deployed layers and of all environments."""
    return sorted(
        path
        for pattern in ("requirements/*.txt", "layers/*/requirements.txt", "migrations/requirements.txt")
        for path in REPOSITORY.glob(pattern)
    )


def ask(requirements: Path) -> Sequence[Mapping[str, Any]]:
    """The database's answer for each package of a file.

    Raises:
        DatabaseError: there is none.
    """
    command = (
        *(environment_python("audit"), "-m", "pip_audit", "--requirement", requirements),
        *("--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"),
    )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        answers: Sequence[Mapping[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError) as error:
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise DatabaseError(f"{requirements.name}: {reason}") from error
    return answers


def findings(name: str, answers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The vulnerabilities in the answers for a file, and the packages without an answer.

    Raises:
        DatabaseError: there is no answer for any package.
    """
    if not any("vulns" in each for each in answers):
        raise DatabaseError(f"{name}: no answer for any package")
    for each in answers:
        if "vulns" not in each:
            yield f"{name}: {each['name']}: {each.get('skip_reason', 'no answer')}"
        for found in each.get("vulns", ()):
            mended = ", ".join(found["fix_versions"]) or "no release"
            yield f"{name}: {each['name']} {each['version']}: {found['id']}, mended in {mended}"


def main() -> int:
    """Check every lock file; return the exit code."""
    with TemporaryDirectory() as directory:
        known = Path(directory) / "known.txt"
        known.write_text(f"{KNOWN}\n")
        if not any(each.get("vulns") for each in ask(known)):
            raise DatabaseError(f"the database knows no vulnerability of {KNOWN}")
    found = []
    for lock in locks():
        answers = ask(lock)
        name = str(lock.relative_to(REPOSITORY))
        found += list(findings(name, answers))
        console.print(f"{name}: {len(answers)} packages")
    for each in found:
        console.print(each, style="red", markup=False, soft_wrap=True)
    return 1 if found else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DatabaseError as error:
        console.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(1)
