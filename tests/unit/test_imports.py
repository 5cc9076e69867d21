"""No function imports a heavy module that it does not need before it is asked anything."""

import subprocess
import sys

import pytest

from local_stack.builds import REPOSITORY

HEAVY = frozenset(
    {
        "alembic",
        "aws_lambda_powertools.event_handler",
        "aws_xray_sdk",
        "boto3",
        "botocore.client",
        "botocore.session",
        "cryptography",
        "http.server",
        "jwt",
        "migrations",
        "multiprocessing",
        "numpy",
        "pg8000",
        "pydantic",
        "pydantic.v1",
        "requests",
        "roadmap_content.authorization",
        "roadmap_content.bundle",
        "roadmap_content.generation",
        "roadmap_content.generation.bedrock",
        "roadmap_content.generation.offline",
        "sqlalchemy",
        "sqlalchemy.dialects.postgresql",
        "sqlalchemy.orm",
        "unittest",
        "urllib3",
    }
)
STEP = frozenset({"pg8000", "pydantic", "sqlalchemy"})
NEEDED = {
    "authorize_request": frozenset({"cryptography", "jwt", "roadmap_content.authorization"}),
    "await_redrive": STEP,
    "finalize_task": STEP,
    "generate_content": STEP | {"roadmap_content.generation"},
    "migrate_database": STEP | {"alembic", "migrations", "sqlalchemy.dialects.postgresql"},
    "plan_batches": STEP,
    "reconcile_task": STEP,
    "save_batch": STEP,
    "task_api": STEP | {"aws_lambda_powertools.event_handler"},
}

MOST_MODULES = 12
"""That are not ours, and that a saver imports beside what the packages of `STEP` and the log take."""


def imported_by(*paths: str, statement: str) -> frozenset[str]:
    """The modules that a statement imports in a fresh process."""
    script = f"import sys; sys.path[:0] = sys.argv[1:]\n{statement}\nprint(*sys.modules)"
    folders = [str(REPOSITORY / path) for path in (*paths, "layers/common")]
    command = [sys.executable, "-c", script, *folders, str(REPOSITORY)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    return frozenset(done.stdout.split())


def test_every_function_is_listed() -> None:
    assert NEEDED.keys() == {path.parent.name for path in REPOSITORY.glob("functions/*/app.py")}


@pytest.mark.parametrize("function", sorted(NEEDED))
def test_a_function_imports_what_it_needs_and_nothing_else_that_is_heavy(function: str) -> None:
    imported = imported_by(f"functions/{function}", statement="import app")
    assert imported & HEAVY == NEEDED[function]


def test_a_saver_imports_little_beside_its_packages() -> None:
    packages = imported_by(
        statement="import sqlalchemy, pg8000.dbapi, pydantic.main\nfrom aws_lambda_powertools import Logger"
    )
    saver = imported_by("functions/save_batch", statement="import app")
    others = {name for name in saver - packages if not name.startswith("roadmap_content")}
    assert len(others) <= MOST_MODULES
