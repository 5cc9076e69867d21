"""`python -m tests.mutants [GUARD]`: remove each guard from a copy of the code; a test must fail."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from local_stack.builds import LOCAL, REPOSITORY
from local_stack.steps import console, step
from tests.mutants.guards import MUTANTS, Mutant
from tests.mutants.witness import REPORT

_DEADLINE_SECONDS = 1_500
"""Without a guard, a test may wait for an event that never happens, up to 600 s, twice."""

AT_ONCE = 2
"""Mutants at the same time, each in its own copy."""

_SHARED = ("environments", "layer")
"""Build outputs. Their names contain a fingerprint of their sources, so a mutant's layer gets another name.
"""


class BrokenCheckError(Exception):
    """The check itself failed, so that its results would be meaningless."""


@dataclass(frozen=True)
class Testimony:
    """The results of some tests; see `Witness`."""

    passed: list[str]
    noticed: dict[str, str]
    broken: dict[str, str]
    strangers: list[str]


def main(wanted: str = "") -> int:
    """Try every mutant with `wanted` in its guard; return the exit code."""
    mutants = [mutant for mutant in MUTANTS if wanted in mutant.guard]
    if not mutants:  # pytest without a test would run all of them
        sys.exit(f"no guard's name contains {wanted!r}")
    outcomes: Counter[str] = Counter()
    for mutant, found in examined(mutants):
        outcome, how = _outcome(found)
        outcomes[outcome] += 1
        console.print(f"{outcome}: {mutant.guard}: {mutant.removed}: {how}", markup=False, soft_wrap=True)
    console.print(", ".join(f"{number} {outcome}" for outcome, number in outcomes.items()))
    return int(outcomes.keys() != {"noticed"})


def examined(mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, Testimony | BrokenCheckError]]:
    """Run the tests of each mutant without its guard; the results in order.

    Raises:
        BrokenCheckError: they do not pass with all guards.
    """
    with ExitStack() as copies, ThreadPoolExecutor(AT_ONCE) as pool:
        roots: SimpleQueue[Path] = SimpleQueue()
        for _ in range(AT_ONCE):
            roots.put(copies.enter_context(copied()))

        @contextmanager
        def copy() -> Iterator[Path]:
            root = roots.get()
            try:
                yield root
            finally:
                roots.put(root)

        def examine(mutant: Mutant) -> Testimony | BrokenCheckError:
            with copy() as root:
                try:
                    with removed(mutant, root):
                        return require_meaningful(run_tests(root, mutant.tests))
                except BrokenCheckError as error:  # the other mutants are still tried
                    return error

        def require_unchanged(tests: Sequence[str]) -> None:
            with copy() as root:
                require_sound(run_tests(root, tests))

        with step("the unchanged product passes the tests"):
            tests = sorted({test for mutant in mutants for test in mutant.tests})
            in_process = [test for test in tests if test.startswith(("tests/integration", "tests/unit"))]
            others = [test for test in tests if test not in in_process]
            list(pool.map(require_unchanged, filter(None, (in_process, others))))
        yield from zip(mutants, pool.map(examine, mutants), strict=True)


def _outcome(found: Testimony | BrokenCheckError) -> tuple[str, str]:
    if isinstance(found, BrokenCheckError):
        return "not checked", str(found)
    if not found.noticed:
        return "survived", ", ".join(found.passed)
    return "noticed", ", ".join(sorted({test.partition("::")[2].partition("[")[0] for test in found.noticed}))


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the current files of the repository that shares build outputs and packages."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    LOCAL.mkdir(exist_ok=True)
    # On the same file system, because built layers are hard-linked.
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
    """Remove a guard from the copy for the duration of the block."""
    before = (root / mutant.path).read_text()
    mutant.apply(root)
    try:
        yield
    finally:
        (root / mutant.path).write_text(before)


def run_tests(root: Path, tests: Iterable[str]) -> Testimony:
    """Run tests of the copy on the code of the copy.

    Raises:
        BrokenCheckError: the tests did not finish, or imported code from elsewhere.
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
        # A mutant may have the size and time stamp of the original, so that stale compiled files would be
        # used.
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
        raise BrokenCheckError(f"not finished within {_DEADLINE_SECONDS} s: {' '.join(tests)}") from error
    if not report.exists():
        raise BrokenCheckError(ended.stdout + ended.stderr)
    testimony = Testimony(**json.loads(report.read_text()))
    if testimony.strangers:
        raise BrokenCheckError(f"code from outside of the copy was imported: {testimony.strangers[:5]}")
    return testimony


def require_sound(testimony: Testimony) -> None:
    """Check that the same tests pass without a mutation.

    Raises:
        BrokenCheckError: a test fails or does not exist.
    """
    if failed := testimony.broken | testimony.noticed:
        raise BrokenCheckError(f"the unchanged product: {told(failed)}")
    if not testimony.passed:
        raise BrokenCheckError("no test ran")


def require_meaningful(testimony: Testimony) -> Testimony:
    """Check that no test failed outside of its own body; return the results.

    Raises:
        BrokenCheckError: a module could not be imported, or a fixture raised.
    """
    if testimony.broken:
        raise BrokenCheckError(told(testimony.broken))
    return testimony


def told(ended: dict[str, str]) -> str:
    """The outcome of each test, one per line."""
    return "\n".join(f"{test}: {how[:2000]}" for test, how in ended.items())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
