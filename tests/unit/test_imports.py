"""No function imports a heavy module that it does not need at import time."""

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
        "roadmap_content.platform.authorization",
        "roadmap_content.content.bundle",
        "roadmap_content.content.generation",
        "roadmap_content.content.generation.bedrock",
        "roadmap_content.content.generation.offline",
        "sqlalchemy",
        "sqlalchemy.dialects.postgresql",
        "sqlalchemy.orm",
        "unittest",
        "urllib3",
    }
)
STEP = frozenset({"pg8000", "pydantic", "sqlalchemy"})
NEEDED = {
    "authorize_request": frozenset({"cryptography", "jwt", "roadmap_content.platform.authorization"}),
    "await_redrive": STEP,
    "check_links": frozenset({"urllib3"}),
    "console": frozenset(),
    "finalize_task": STEP,
    "generate_content": STEP | {"roadmap_content.content.generation"},
    "migrate_database": STEP
    | {"alembic", "migrations", "sqlalchemy.dialects.postgresql"}
    # the rehearsal of a release
    | {"roadmap_content.content.generation", "roadmap_content.content.generation.offline"},
    "plan_batches": STEP,
    "reconcile_task": STEP,
    "operator_api": STEP
    # `/capacity` changes the model's quota
    | {"aws_lambda_powertools.event_handler", "roadmap_content.content.generation"},
    "save_batch": STEP,
    "task_api": STEP | {"aws_lambda_powertools.event_handler"},
}


PURE = (
    "roadmap_content.content.registry",
    "roadmap_content.contracts.payloads",
    "roadmap_content.contracts.documents",
    "roadmap_content.contracts.errors",
    "roadmap_content.contracts.items",
    "roadmap_content.platform.postgres.sqlstate",
    "roadmap_content.content.remedies",
    "roadmap_content.content.roadmaps.framework",
    "roadmap_content.platform.storage.keys",
    "roadmap_content.state.tasks.outcome",
)
"""Modules with decisions and without I/O."""

INPUT_OUTPUT = ("sqlalchemy", "pg8000", "boto3", "botocore", "socket", "urllib.request", "http.client")


def imported_by(*paths: str, statement: str) -> frozenset[str]:
    """The modules that a statement imports in a fresh process."""
    script = f"import sys; sys.path[:0] = sys.argv[1:]\n{statement}\nprint(*sys.modules)"
    folders = [str(REPOSITORY / path) for path in (*paths, "layers/common")]
    command = [sys.executable, "-c", script, *folders, str(REPOSITORY)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    return frozenset(done.stdout.split())


def test_every_function_is_listed() -> None:
    assert NEEDED.keys() == {path.parent.name for path in REPOSITORY.glob("functions/*/app.py")}


@pytest.mark.slow  # a process for each function
@pytest.mark.parametrize("function", sorted(NEEDED))
def test_a_function_imports_only_the_heavy_modules_that_it_needs(function: str) -> None:
    imported = imported_by(f"functions/{function}", statement="import app")
    assert imported & HEAVY == NEEDED[function]


def test_no_pure_module_imports_a_module_that_does_io() -> None:
    plain = imported_by(statement="import pydantic.main, json, re, hashlib, urllib.parse")
    assert not (imported_by(statement=f"import {', '.join(PURE)}") - plain) & frozenset(INPUT_OUTPUT)
