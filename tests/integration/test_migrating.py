"""`migrate_database`: one migration at a time, and session limits on the role, for RDS Proxy."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, Engine, make_url, text

from local_stack.database_roles import DatabaseRoles, create_roles, drop_roles
from migrations import (
    LOCK,
    VERSION_TABLE,
    current_revision,
    latest_revision,
    migrate,
)
from roadmap_command.product_migration import rehearse
from roadmap_content.content.kind import ContentKind
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.contracts.errors import InvalidContentError
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.postgres.engine import Credentials, open_engine
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import SessionSource, Settings
from roadmap_content.runs.installation.leave import LeaveRequest, leave_database
from roadmap_content.runs.installation.migrate import (
    MigrateRequest,
    MigrationRefusedError,
    RehearsalFailedError,
    migrate_database,
)
from roadmap_content.state.services import Services
from tests.support.databases import connected, execute
from tests.support.revisions import newest_revision


class Database(Services):
    """Services with the test's database."""

    def __init__(
        self, url: str, session: SessionSource = "options", roles: DatabaseRoles | None = None
    ) -> None:
        names = roles.names if roles else DatabaseRoles(*[str(make_url(url).username)] * 3)
        super().__init__(
            Settings(
                {
                    "DATABASE_SESSION": session,
                    "DATABASE_WRITER": names.writer,
                    "DATABASE_READER": names.reader,
                }
            )
        )
        self.url = url

    def open_engine(self, statement_timeout: int = 30) -> Engine:
        """An engine with a password that is in no secret."""
        credentials = Credentials.from_url(make_url(self.url))
        session = self.settings.database_session
        return open_engine(
            lambda: credentials, tls=False, session=session, statement_timeout=statement_timeout
        )


def revision(url: str) -> str | None:
    with connected(url) as connection:
        return current_revision(connection)


def test_an_empty_database_is_migrated_once(empty_database_url: str) -> None:
    database = Database(empty_database_url)
    first = migrate_database(MigrateRequest(), database, Deadline.after(600))
    second = migrate_database(MigrateRequest(), database, Deadline.after(600))
    assert first.before is None
    assert first.after == second.before == second.after == revision(empty_database_url) == newest_revision()


def test_a_dry_run_lists_the_migrations_and_changes_nothing(empty_database_url: str) -> None:
    result = migrate_database(MigrateRequest(dry_run=True), Database(empty_database_url), Deadline.after(600))
    assert (result.before, result.dry_run) == (None, True)
    assert result.after == latest_revision() == newest_revision()
    assert revision(empty_database_url) is None


def refuse_in_the_contract(monkeypatch: pytest.MonkeyPatch, _: str) -> None:
    def refuse(*_: object) -> None:
        raise InvalidContentError("questions: too few")

    monkeypatch.setattr(ContentKind, "parse", refuse)


def refuse_in_the_statement(monkeypatch: pytest.MonkeyPatch, _: str) -> None:
    quiz = CONTENT_KINDS[ContentType.QUIZ]
    statement = "SELECT 'c' AS concept_id, 'id_taken' AS row_status"
    kinds = {**CONTENT_KINDS, ContentType.QUIZ: quiz._replace(sql=quiz.sql._replace(save=statement))}
    monkeypatch.setattr("roadmap_content.runs.installation.rehearsal.CONTENT_KINDS", kinds)


def refuse_in_the_schema(_: pytest.MonkeyPatch, url: str) -> None:
    execute(url, "ALTER TABLE quiz_metadata ADD CHECK (total_questions > 1000)")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (refuse_in_the_contract, "saves no tutorial: InvalidContent: questions: too few"),
        (refuse_in_the_statement, "saves no quiz: RowRefused: id_taken"),
        (refuse_in_the_schema, "saves no quiz: .*quiz_metadata"),
    ],
)
def test_a_release_that_refuses_everything_is_refused_before_any_function_runs_it(
    new_database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[pytest.MonkeyPatch, str], None],
    reason: str,
) -> None:
    """The migration precedes every function: `tests/template/test_release.py`."""
    database = Database(new_database_url)
    fault(monkeypatch, new_database_url)
    with pytest.raises(RehearsalFailedError, match=reason):
        migrate_database(MigrateRequest(), database, Deadline.after(600))
    with connected(new_database_url) as connection:
        for table in ("roadmap_metadata", "tutorial_metadata", "content_origins", "content_archive"):
            assert connection.scalar(text(f"SELECT count(*) FROM {table}")) == 0, table


def test_each_play_of_a_rehearsal_succeeds_if_nothing_has_changed(new_database_url: str) -> None:
    """Regression: a play that failed on the copy itself was not reported, so nothing was predicted of it."""
    rehearsal = rehearse("SELECT 1", new_database_url)
    assert (rehearsal.before, rehearsal.findings, rehearsal.only_in_old_sessions) == ([], [], [])


def test_a_migration_is_refused_while_another_one_runs(empty_database_url: str) -> None:
    with connected(empty_database_url) as other:
        other.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        with pytest.raises(MigrationRefusedError, match="another migration"):
            migrate_database(MigrateRequest(), Database(empty_database_url), Deadline.after(600))
    assert revision(empty_database_url) is None
    migrate(empty_database_url)
    assert revision(empty_database_url) is not None


def test_a_schema_of_a_later_release_is_left_as_it_is(new_database_url: str) -> None:
    """After a rollback, a release runs on the schema of the next one."""
    execute(new_database_url, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    result = migrate_database(MigrateRequest(), Database(new_database_url), Deadline.after(600))
    assert result.before == result.after == "9999"


@pytest.fixture
def roles(empty_database_url: str) -> Iterator[DatabaseRoles]:
    """The roles of the empty database, which are dropped after the test."""
    url = make_url(empty_database_url)
    yield create_roles(empty_database_url, f"{url.database}_")
    with connected(empty_database_url) as connection:
        connection.execute(
            text(f"DROP OWNED BY {url.database}_migrator, {url.database}_writer, {url.database}_reader")
        )
    drop_roles(empty_database_url, f"{url.database}_")


def statement_timeout(database: Database) -> str:
    engine = database.open_engine()
    try:
        with engine.connect() as connection:
            return str(connection.scalar(text("SHOW statement_timeout")))
    finally:
        engine.dispose()


def test_sessions_without_own_limits_have_those_of_their_role(roles: DatabaseRoles) -> None:
    migrator = Database(roles.migrator, "role", roles)
    migrate_database(MigrateRequest(), migrator, Deadline.after(600))
    for url in (roles.writer, roles.reader):
        assert statement_timeout(Database(url, "role")) == "30s"


def test_a_migration_is_refused_if_the_roles_lack_the_limits_of_their_sessions(
    roles: DatabaseRoles, empty_database_url: str
) -> None:
    """The limits of a role in one database override those that it has in every database."""
    reader, database = roles.names.reader, make_url(empty_database_url).database
    execute(
        empty_database_url,
        f"ALTER ROLE {reader} IN DATABASE {database} SET lock_timeout = '9s'",
        f"ALTER ROLE {reader} SET lock_timeout = '3s'",
    )
    with pytest.raises(MigrationRefusedError, match=f"ALTER ROLE {reader} SET lock_timeout = '3s';"):
        migrate_database(MigrateRequest(), Database(roles.migrator, "role", roles), Deadline.after(600))
    assert revision(empty_database_url) is None
    # Sessions that set their own limits need no limits on the role.
    migrate_database(MigrateRequest(), Database(roles.migrator, "options", roles), Deadline.after(600))


def test_a_migration_is_refused_if_a_role_does_not_exist(
    roles: DatabaseRoles, empty_database_url: str
) -> None:
    execute(empty_database_url, f"DROP OWNED BY {roles.names.reader}", f"DROP ROLE {roles.names.reader}")
    with pytest.raises(MigrationRefusedError, match=f"{roles.names.reader} does not exist"):
        migrate_database(MigrateRequest(), Database(roles.migrator, "options", roles), Deadline.after(600))
    assert revision(empty_database_url) is None
    create_roles(empty_database_url, f"{make_url(empty_database_url).database}_")


@pytest.mark.parametrize("module", ["migrate", "leave"])
def test_a_migration_and_leaving_override_the_time_limit_of_their_role(
    roles: DatabaseRoles, empty_database_url: str, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    """As behind RDS Proxy, which refuses limits in the startup message."""
    execute(empty_database_url, f"ALTER ROLE {roles.names.migrator} SET statement_timeout = '1s'")
    database, deadline = Database(roles.migrator, "role", roles), Deadline.after(603)
    seen = set()

    def note(connection: Connection) -> str | None:
        seen.add(connection.scalar(text("SHOW statement_timeout")))
        return current_revision(connection)

    monkeypatch.setattr(f"roadmap_content.runs.installation.{module}.current_revision", note)
    if module == "migrate":
        migrate_database(MigrateRequest(), database, deadline)
    else:
        leave_database(LeaveRequest(leave=True), database, deadline)
    assert seen in ({"599s"}, {"10min"})
