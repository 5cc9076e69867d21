"""The schema's history, applied by `migrate` and taken back by `downgrade`.

Each runs in one transaction, wholly or not at all; two at the same time follow each other. What has been
applied is recorded in a table of our own, because the product may be using Alembic on the same database.
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

LOCK = 0x726F61646D6170  # "roadmap": any number will do that nobody else locks


class CannotAdoptError(Exception):
    """The product's schema holds something that a person has to decide about; nothing has been changed."""


class UnknownTimeZoneError(Exception):
    """PostgreSQL does not know a time zone of this name; nothing has been changed."""


class MigrationRunningError(Exception):
    """Another migration of the database is running."""


def migrate(url: str, revision: str = "head") -> None:
    """Bring the database at `url` up to `revision`, whether it is empty, the product's, or ours already."""
    with _locked(url) as config:
        command.upgrade(config, revision)


def downgrade(url: str, revision: str) -> None:
    """Take the database at `url` back to `revision`; `base` leaves the product what is the product's."""
    with _locked(url) as config:
        command.downgrade(config, revision)
        if revision == "base":
            config.attributes["connection"].execute(text(f"DROP TABLE {VERSION_TABLE}"))


def migrate_at_once(connection: Connection, revision: str = "head") -> None:
    """Like `migrate`, in the transaction of `connection`; but while another one is running, refuse.

    Raises:
        MigrationRunningError: another one is running.
    """
    if not connection.scalar(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": LOCK}):
        raise MigrationRunningError("another migration of this database is running")
    command.upgrade(_configure(connection), revision)


def is_newer_than_this_code(revision: str | None) -> bool:
    """Whether a database is at a revision that these migrations do not have: a later release's."""
    known = {script.revision for script in ScriptDirectory(str(Path(__file__).parent)).walk_revisions()}
    return revision is not None and revision not in known


def use_time_zone(connection: Connection, time_zone: str) -> None:
    """Set the zone of the timestamps in the product's tables; rows that are there are not changed.

    Raises:
        UnknownTimeZoneError: PostgreSQL does not know it.
    """
    known = connection.scalar(
        text("SELECT EXISTS (SELECT FROM pg_timezone_names WHERE name = :name)"), {"name": time_zone}
    )
    if not known:
        raise UnknownTimeZoneError(f"{time_zone!r} is not a time zone of PostgreSQL, such as Asia/Shanghai")
    if connection.scalar(text("SELECT content_time_zone()")) != time_zone:
        connection.exec_driver_sql(
            "CREATE OR REPLACE FUNCTION content_time_zone() RETURNS text LANGUAGE sql STABLE "
            f"AS $$ SELECT text '{time_zone}' $$"
        )


def current_revision(connection: Connection) -> str | None:
    """The revision that the database is at; `None` for one that has never been migrated."""
    context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
    return context.get_current_revision()


@contextmanager
def _locked(url: str) -> Iterator[Config]:
    with create_engine(url, poolclass=NullPool).begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        yield _configure(connection)


def _configure(connection: Connection) -> Config:
    # The product's tables are about to be locked. Waiting for it, everybody else would wait behind us.
    connection.execute(text("SET LOCAL lock_timeout = '10s'"))
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
