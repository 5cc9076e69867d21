"""Expand and contract: the previous release works on the schema of this release.

During a deployment, and after it is rolled back, the code of `migrations/previous_release.txt` runs on the
schema of this code's migrations. So the tests of that code are run here, with these migrations.
"""

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, event

from local_stack.builds import REPOSITORY, source_files
from migrations import migrate_at_once
from tests.support.revisions import head_of

COMMIT = (REPOSITORY / "migrations/previous_release.txt").read_text().strip()

# The steps on PostgreSQL, from the plan to the outcome, and their retries. Not the tests of migrations, which
# contain the expected revision.
TESTS = ("test_pipeline.py", "test_recovery.py", "test_status.py")

# Statements that remove objects that the previous release uses, or that require values that it does not
# write.
CONTRACTS = re.compile(
    r"\bDROP\s+(TABLE|COLUMN|VIEW|SCHEMA)\b|\bRENAME\b|\bALTER\s+COLUMN\s+\w+\s+(SET\s+DATA\s+)?TYPE\b"
    r"|\bSET\s+NOT\s+NULL\b|\bTRUNCATE\b"
    r"|\bADD\s+COLUMN\s+(IF\s+NOT\s+EXISTS\s+)?\w+\s+(?![^,;]*\bDEFAULT\b)[^,;]*\bNOT\s+NULL\b",
    re.IGNORECASE,
)


@pytest.fixture(scope="module")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the previous release."""
    archive = subprocess.run(["git", "archive", COMMIT], cwd=REPOSITORY, capture_output=True)
    if archive.returncode:
        pytest.skip(f"a shallow clone: git has no commit {COMMIT}")
    directory = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(directory, filter="data")
    return directory


def statements_since(url: str, revision: str) -> list[str]:
    """The statements that migrate a database from a revision to the newest."""
    executed: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        executed.append(statement)

    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        migrate_at_once(connection, revision)
    event.listen(engine, "before_cursor_execute", note)
    with engine.begin() as connection:
        migrate_at_once(connection)
    return executed


def test_no_migration_of_this_release_contracts(empty_database_url: str, previous: Path) -> None:
    executed = statements_since(empty_database_url, head_of(previous / "migrations"))
    assert [statement for statement in executed if CONTRACTS.search(statement)] == []


@pytest.mark.parametrize(
    ("statement", "contracts"),
    [
        ("ALTER TABLE t DROP COLUMN c", True),
        ("DROP TABLE t", True),
        ("ALTER TABLE t RENAME COLUMN a TO b", True),
        ("ALTER TABLE t ALTER COLUMN c TYPE text", True),
        ("ALTER TABLE t ALTER COLUMN c SET NOT NULL", True),
        ("ALTER TABLE t ADD COLUMN c text NOT NULL", True),
        ("ALTER TABLE t ADD COLUMN c integer NOT NULL DEFAULT 0", False),
        ("ALTER TABLE t ADD COLUMN c text, ADD COLUMN d integer NOT NULL DEFAULT 0", False),
        ("CREATE TABLE t (c text NOT NULL)", False),
        ("DROP INDEX i", False),
    ],
)
def test_contracting_statements_are_found(statement: str, contracts: bool) -> None:
    assert bool(CONTRACTS.search(statement)) == contracts


def test_the_previous_release_passes_its_tests_on_this_schema(previous: Path) -> None:
    shutil.rmtree(previous / "migrations")
    for file in source_files(REPOSITORY / "migrations"):
        target = previous / file.relative_to(REPOSITORY)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    paths = os.pathsep.join(str(previous / folder) for folder in (".", "layers/common", "tools"))
    command = [sys.executable, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", "-p", "no:xdist"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        [*command, *(f"tests/integration/{name}" for name in TESTS)],
        cwd=previous,
        env=environment | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4_000:] + done.stderr[-1_000:]
    assert re.search(r"\b\d\d+ passed", done.stdout)
