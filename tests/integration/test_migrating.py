"""`migrate_database`: one migration at a time, and session limits on the role, for RDS Proxy."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Engine, NullPool, create_engine, make_url, text

from migrations import LOCK, current_revision, migrate, migrate_at_once
from roadmap_content.postgres.engine import Credentials, open_engine
from roadmap_content.runtime.deadline import Deadline
from roadmap_content.runtime.settings import SessionSource, Settings
from roadmap_content.services import Services
from roadmap_content.steps.migrate import MigrateRequest, MigrationRefusedError, migrate_database


class Database(Services):
    """Services with the test's database."""

    def __init__(self, url: str, session: SessionSource = "options") -> None:
        super().__init__(Settings({"DATABASE_SESSION": session}))
        self.url = url

    def open_engine(self, statement_timeout: int = 30) -> Engine:
        """An engine whose password is not in a secret."""
        credentials = Credentials.from_url(make_url(self.url))
        session = self.settings.database_session
        return open_engine(
            lambda: credentials, tls=False, session=session, statement_timeout=statement_timeout
        )


def revision(url: str) -> str | None:
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return current_revision(connection)


def test_an_empty_database_is_migrated_once(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    first = migrate_database(MigrateRequest(), database, Deadline.after(60))
    second = migrate_database(MigrateRequest(), database, Deadline.after(60))
    assert first.before is None
    assert first.after == second.before == second.after == revision(empty_database_url) is not None


def test_a_dry_run_lists_the_migrations_and_changes_nothing(empty_database_url: str) -> None:
    result = migrate_database(MigrateRequest(dry_run=True), Database(empty_database_url), Deadline.after(60))
    assert (result.before, result.dry_run) == (None, True)
    assert result.after is not None
    assert revision(empty_database_url) is None


def test_a_migration_is_refused_while_another_one_runs(empty_database_url: str) -> None:
    with create_engine(empty_database_url, poolclass=NullPool).begin() as other:
        other.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        with pytest.raises(MigrationRefusedError, match="another migration"):
            migrate_database(MigrateRequest(), Database(empty_database_url), Deadline.after(60))
    assert revision(empty_database_url) is None
    migrate(empty_database_url)
    assert revision(empty_database_url) is not None


@pytest.fixture
def owner_url(empty_database_url: str) -> Iterator[str]:
    """The URL of the empty database for a separate role, which is dropped after the test."""
    url = make_url(empty_database_url)
    role = f"{url.database}_owner"
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text(f"CREATE ROLE {role} LOGIN PASSWORD 'for-a-test'"))
        connection.execute(text(f"ALTER DATABASE {url.database} OWNER TO {role}"))
    yield url.set(username=role, password="for-a-test").render_as_string(hide_password=False)
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text(f"REASSIGN OWNED BY {role} TO CURRENT_USER"))
        connection.execute(text(f"DROP ROLE {role}"))


def statement_timeout(database: Database) -> str:
    engine = database.open_engine()
    try:
        with engine.connect() as connection:
            return str(connection.scalar(text("SHOW statement_timeout")))
    finally:
        engine.dispose()


def test_sessions_without_own_limits_have_the_limits_of_their_role(owner_url: str) -> None:
    database = Database(owner_url, session="role")
    assert statement_timeout(database) == "0"
    migrate_database(MigrateRequest(), database, Deadline.after(60))
    assert statement_timeout(database) == "30s"


def test_the_role_is_unchanged_if_sessions_set_their_own_limits(owner_url: str) -> None:
    migrate_database(MigrateRequest(), Database(owner_url), Deadline.after(60))
    assert statement_timeout(Database(owner_url)) == "30s"
    assert statement_timeout(Database(owner_url, session="role")) == "0"


def test_a_migration_has_its_own_time_limit_where_the_session_has_that_of_its_role(
    owner_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As behind RDS Proxy, which refuses limits in the startup message."""
    url = make_url(owner_url)
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text("ALTER ROLE CURRENT_USER SET statement_timeout = '1s'"))
    seen: list[str] = []

    def note(connection: Connection) -> None:
        seen.append(str(connection.scalar(text("SHOW statement_timeout"))))
        migrate_at_once(connection)

    monkeypatch.setattr("roadmap_content.steps.migrate.migrate_at_once", note)
    migrate_database(MigrateRequest(), Database(owner_url, session="role"), Deadline.after(603))
    assert seen in (["599s"], ["10min"])
