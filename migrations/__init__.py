"""The migrations of the schema, applied by `migrate` and reverted by `downgrade`.

Each runs in one transaction; concurrent ones run one after the other. The revision is stored in a separate
table, because the product may use Alembic on the same database.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, NullPool, create_engine, text

VERSION_TABLE = "content_schema_version"

LOCK = 0x726F61646D6170  # "roadmap": any number that no other application locks


class CannotAdoptError(Exception):
    """The product's schema needs a manual decision. Nothing was changed."""


class UnknownTimeZoneError(Exception):
    """PostgreSQL has no time zone with this name. Nothing was changed."""


class MigrationRunningError(Exception):
    """Another migration of the database is running."""


def migrate(url: str, revision: str = "head") -> None:
    """Migrate the database at `url` up to `revision`. It may be empty, the product's, or already migrated."""
    with _locked(url) as connection:
        command.upgrade(_configure(connection), revision)


def downgrade(url: str, revision: str) -> None:
    """Downgrade the database at `url` to `revision`; `base` leaves only the product's schema."""
    with _locked(url) as connection:
        downgrade_at_once(connection, revision)


def downgrade_at_once(connection: Connection, revision: str) -> None:
    """Like `downgrade`, in the transaction of `connection`."""
    command.downgrade(_configure(connection), revision)
    if revision == "base":
        connection.execute(text(f"DROP TABLE {VERSION_TABLE}"))


def migrate_at_once(connection: Connection) -> None:
    """Like `migrate`, in the transaction of `connection`. Raises MigrationRunningError: another one runs."""
    if not connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": LOCK}):
        raise MigrationRunningError("another migration of this database is running")
    command.upgrade(_configure(connection), "head")


def is_newer_than_this_code(revision: str | None) -> bool:
    """Whether a database has a revision of a later release, which this code does not have: each is greater
    than those before it.
    """
    return revision is not None and revision > latest_revision()


def latest_revision() -> str:
    """The revision of this code."""
    head = _scripts().get_current_head()
    assert head is not None  # noqa: S101 - the baseline exists
    return head


def writes_of_later_tables() -> dict[str, tuple[str, ...]]:
    """The privileges of the writer, besides SELECT, on each table that was added after the baseline.

    The migration that creates the table states them, in `WRITES`.
    """
    writes: dict[str, tuple[str, ...]] = {}
    for script in _scripts().walk_revisions():
        writes |= getattr(script.module, "WRITES", {})
    return writes


def use_time_zone(connection: Connection, time_zone: str) -> None:
    """Set the zone of the timestamps in the product's tables. Existing rows are not changed.

    Raises:
        UnknownTimeZoneError: PostgreSQL has no such time zone.
    """
    known = connection.scalar(
        text("SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = :name)"), {"name": time_zone}
    )
    if not known:
        raise UnknownTimeZoneError(f"{time_zone!r} is not a time zone of PostgreSQL, such as Asia/Shanghai")
    if connection.scalar(text("SELECT content_time_zone()")) != time_zone:
        connection.exec_driver_sql(time_zone_function(time_zone))


def time_zone_function(time_zone: str) -> str:
    """The statement that creates or replaces the function that returns the zone."""
    return (
        "CREATE OR REPLACE FUNCTION content_time_zone() RETURNS text LANGUAGE plpgsql STABLE PARALLEL SAFE"
        f" SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN '{time_zone}'; END $$"
    )


def current_revision(connection: Connection) -> str | None:
    """The revision of the database; `None` if it was never migrated."""
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


def record_latest_revision(connection: Connection) -> str:
    """Record that the database has the revision of this code, and return it."""
    command.stamp(_configure(connection), "head")
    return latest_revision()


@contextmanager
def _locked(url: str) -> Iterator[Connection]:
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        yield connection


def _scripts() -> ScriptDirectory:
    return ScriptDirectory(str(Path(__file__).parent))


def _configure(connection: Connection) -> Config:
    # The product's tables are locked next. While this lock request waits, all later ones wait behind it.
    connection.execute(text("SET LOCAL lock_timeout = '10s'"))
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
