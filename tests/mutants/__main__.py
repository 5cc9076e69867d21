"""`python -m tests.mutants [GUARD]`: takes each guard out of a copy of the code; a test is to notice."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from checks.sam.steps import console, step
from local_stack.builds import LOCAL, REPOSITORY
from tests.mutants.guards import MUTANTS, Mutant
from tests.mutants.witness import REPORT

_DEADLINE_SECONDS = 300
_WIDTH = 180
"""Columns that the table takes: a test's name is not to be broken."""

_SHARED = ("environments", "layer")
"""What is built, under names that say what from: a mutant's layer is another one than the product's."""


class BrokenCheckError(Exception):
    """The check itself does not hold: what it would say of the guards is worth nothing."""


@dataclass(frozen=True)
class Testimony:
    """What came of some tests; see `Witness`."""

    passed: list[str]
    noticed: dict[str, str]
    broken: dict[str, str]
    strangers: list[str]


def main(wanted: str = "") -> int:
    """Try every mutant whose guard's name holds `wanted`; the exit code."""
    mutants = [mutant for mutant in MUTANTS if wanted in mutant.guard]
    table = Table("guard", "what was removed", "which tests noticed")
    survived = 0
    with copied() as root:
        with step("the product as it is passes the tests that are to notice"):
            require_sound(run_tests(root, sorted({test for mutant in mutants for test in mutant.tests})))
        for mutant in mutants:
            with step(f"without {mutant.guard}"), removed(mutant, root):
                testimony = run_tests(root, mutant.tests)
            if testimony.broken:
                raise BrokenCheckError(f"without {mutant.guard}: {told(testimony.broken)}")
            survived += not testimony.noticed
            table.add_row(
                mutant.guard,
                mutant.removed,
                "\n".join(sorted({test.partition("::")[2].partition("[")[0] for test in testimony.noticed}))
                or "[red]none[/red]",
            )
    Console(width=max(console.width, _WIDTH)).print(table)
    if survived:
        console.print(f"[red]{survived} of {len(mutants)} mutants survived[/red]")
        return 1
    console.print(f"[green]all {len(mutants)} mutants were noticed[/green]")
    return 0


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the repository's files as they are now, which shares what was built and the packages."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    LOCAL.mkdir(exist_ok=True)
    # Beside what it shares: built layers are links, and those stay within a file system.
    with tempfile.TemporaryDirectory(prefix="mutants-", dir=LOCAL) as directory:
        root = Path(directory)
        for name in filter(None, listed.split("\0")):
            if (REPOSITORY / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(REPOSITORY / name, root / name)
        (root / ".local").mkdir()
        for name in _SHARED:
            (LOCAL / name).mkdir(exist_ok=True)
            (root / ".local" / name).symlink_to(LOCAL / name)
        yield root


@contextmanager
def removed(mutant: Mutant, root: Path) -> Iterator[None]:
    """The copy without a guard, as long as the block lasts."""
    before = (root / mutant.path).read_text()
    mutant.apply(root)
    try:
        yield
    finally:
        (root / mutant.path).write_text(before)


def run_tests(root: Path, tests: Iterable[str]) -> Testimony:
    """Run tests of the copy, on the code of the copy.

    Raises:
        BrokenCheckError: they do not come to an end, or ran code from elsewhere.
    """
    report = root / ".local/report.json"
    report.unlink(missing_ok=True)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--quiet",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.mutants.witness",
    ]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(root), str(root / "layers/common"), str(root / "tools")]),
        # A mutant can be as long as what it replaces, and as old: what was compiled would pass for it.
        "PYTHONDONTWRITEBYTECODE": "1",
        REPORT: str(report),
    }
    try:
        ended = subprocess.run(
            [*command, *tests],
            cwd=root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise BrokenCheckError(f"no end within {_DEADLINE_SECONDS} s: {' '.join(tests)}") from error
    if not report.exists():
        raise BrokenCheckError(ended.stdout + ended.stderr)
    testimony = Testimony(**json.loads(report.read_text()))
    if testimony.strangers:
        raise BrokenCheckError(f"code from elsewhere ran: {testimony.strangers[:5]}")
    return testimony


def require_sound(testimony: Testimony) -> None:
    """Hold that the product as it is passes the very tests that are to notice.

    Raises:
        BrokenCheckError: it does not, or there are no such tests.
    """
    if failed := testimony.broken | testimony.noticed:
        raise BrokenCheckError(f"the product as it is: {told(failed)}")
    if not testimony.passed:
        raise BrokenCheckError("no test ran")


def told(ended: dict[str, str]) -> str:
    """How tests ended, a line each."""
    return "\n".join(f"{test}: {how[:2000]}" for test, how in ended.items())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
