"""`roadmap up --adopt`: the local stack uses the product's own database, which stays after it."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url
from typer.testing import CliRunner, Result

from local_stack.database_roles import drop_roles
from local_stack.errors import RefusedError
from local_stack.given_database import AdoptedDatabase
from local_stack.postgres_server import Server
from local_stack.stack import LocalStack
from roadmap_command.main import app
from roadmap_command.target import Target
from tests.product.product import Product
from tests.product.test_healing import report_s_state, require_concept_metadata_complete


@pytest.fixture
def directory() -> Iterator[Path]:
    """The directory of a stack, which is stopped after the test."""
    with tempfile.TemporaryDirectory(prefix="roadmap-stack-") as name:
        yield Path(name)
        LocalStack.down(Path(name), forget=True)


@pytest.fixture
def role_prefixes(database_server: Server) -> Iterator[list[str]]:
    """The prefixes of roles to drop after their databases."""
    prefixes: list[str] = []
    yield prefixes
    for prefix in prefixes:
        drop_roles(database_server.url, prefix)


@pytest.fixture
def product(role_prefixes: list[str], product: Product, monkeypatch: pytest.MonkeyPatch) -> Product:
    """The product. `DATABASE_URL` is set to its database."""
    role_prefixes.append(AdoptedDatabase(product.url).role_prefix)
    monkeypatch.setenv("DATABASE_URL", product.url)
    report_s_state(product, "ids empty")
    return product


@pytest.fixture
def stack_commands(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The commands use this test's directory."""
    targets: list[Target] = []

    def named(*_: object) -> Target:
        targets.append(Target.local(LocalStack.attach(directory)))
        return targets[-1]

    class Here:
        @staticmethod
        def up(**arguments: Any) -> LocalStack:
            return LocalStack.up(directory, **arguments)

        @staticmethod
        def fail(failures: str) -> str:
            return LocalStack.fail(failures, directory)

        @staticmethod
        def has_data() -> bool:
            return LocalStack.has_data(directory)

        @staticmethod
        def down() -> bool:
            return LocalStack.down(directory, forget=True)

    monkeypatch.setattr("roadmap_command.commands.stack.local_stack", lambda: Here)
    monkeypatch.setattr(Target, "named", named)
    yield
    for target in targets:
        target.engine.dispose()


def roadmap(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def is_adopted(product: Product) -> bool:
    return product.has("content_attempts")


@pytest.mark.usefixtures("stack_commands")
def test_a_team_tries_it_on_a_copy_of_its_own_data(product: Product) -> None:
    before = product.everything()
    for missing, options in (("--time-zone", ("--yes",)), ("--yes", ("--time-zone", "UTC"))):
        with pytest.raises(RefusedError, match=missing):
            roadmap("up", "--adopt", *options)
    assert not is_adopted(product)
    assert product.everything() == before

    up = roadmap("up", "--adopt", "--yes", "--time-zone", "Asia/Shanghai")

    assert up.exit_code == 0
    said, _, then = up.stderr.partition("The stack is up")
    url = make_url(product.url)
    assert f"{url.database} on {url.host}:{url.port}" in said
    assert str(url.password) not in up.stderr.replace("token=", "")
    assert then
    retried = roadmap("retry", "t-1")
    assert retried.exit_code == 0, retried.stderr
    require_concept_metadata_complete(product)
    (task,) = product.rows("SELECT * FROM roadmap_tasks")
    assert task["status"] == "completed"
    assert task["updated_at"] > task["created_at"]

    assert roadmap("down").exit_code == 0

    assert product.rows("SELECT status FROM roadmap_tasks") == [{"status": "completed"}]
    assert is_adopted(product)
    assert product.rows(
        "SELECT DISTINCT rolname, rolsuper FROM pg_proc p JOIN pg_roles r ON r.oid = p.proowner "
        "WHERE proname LIKE 'content\\_%'"
    ) == [{"rolname": f"{AdoptedDatabase(product.url).role_prefix}migrator", "rolsuper": False}]
    for table in ("tutorial_metadata", "resource_recommendation_metadata", "quiz_metadata"):
        assert set(before[table]) < set(product.everything()[table])
