"""A server and databases for tests: one that is emptied after each test, and copies of a template."""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, NullPool, create_engine, text

from local_stack.given_database import given_or_embedded
from local_stack.postgres_server import Server, create_database, drop_database
from tests.support.engines import SHARED

CATALOGS = (
    "pg_db_role_setting",
    "pg_namespace",
    *(
        f"{catalog} WHERE {identifier} >= 16384"  # without PostgreSQL's own objects, which are thousands
        for catalog, identifier in {
            "pg_attrdef": "adrelid",
            "pg_attribute": "attrelid",
            "pg_class": "oid",
            "pg_constraint": "oid",
            "pg_index": "indexrelid",
            "pg_statistic": "starelid",
            "pg_trigger": "oid",
            "pg_proc": "oid",
        }.items()
    ),
)

# Guarantees: differs after any change of a table, function, privilege, setting or statistics, also after one
# that was reverted. The function of the time zone, which many tests change, is compared by its text.
SCHEMA = text(
    " UNION ALL ".join(f"SELECT count(*), max(CAST(CAST(xmin AS text) AS bigint)) FROM {c}" for c in CATALOGS)
    + " AND proname <> 'content_time_zone'"
)
_TIME_ZONE = text("SELECT pg_get_functiondef(CAST('content_time_zone' AS regproc))")

# Deleted rows occupy space until a vacuum, which slows down later tests.
_SIZE = text("SELECT pg_database_size(current_database())")
_GROWTH = 16 * 2**20

_MAY_IGNORE_TRIGGERS = text("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")

_TABLES = text("""
SELECT CAST(CAST(oid AS regclass) AS text) FROM pg_class
WHERE relkind = 'r' AND relnamespace = CAST(current_schema() AS regnamespace)
""")

_SEQUENCES = text("""
SELECT format('SELECT setval(%L, %s, %L)',
    format('%I.%I', schemaname, sequencename), coalesce(last_value, start_value), last_value IS NOT NULL)
FROM pg_sequences
""")

# Work that a test has left behind would hold locks. An idle shared session can hold only advisory ones.
_END_SESSIONS = f"""
SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity a
WHERE datname = current_database() AND pid <> pg_backend_pid() AND NOT (
    application_name = '{SHARED}' AND state = 'idle'
    AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND locktype = 'advisory'))
"""


_MEMORY = Path("/dev/shm")  # noqa: S108 - on Linux, a file system in memory


@contextmanager
def temporary_server() -> Iterator[Server]:
    """The server of `DATABASE_URL`, or our own, with its files in memory if there is room.

    On a disk, a copy of a database costs 0.1 to 0.5 seconds of processor time, in memory 0.05.
    """
    folder = _MEMORY if _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > 2 * 2**30 else None
    # Not pytest's own directory: if root runs the tests, only root can read it, and the server runs as
    # another user.
    with (
        tempfile.TemporaryDirectory(prefix="roadmap-postgres-", dir=folder) as data_dir,
        given_or_embedded(Path(data_dir), fsync=False) as server,
    ):
        yield server


@contextmanager
def copied_database(server_url: str, template: str = "template1") -> Iterator[tuple[str, str]]:
    """A copy of a template database, which is dropped at the end: its name and its URL."""
    name = f"test_{secrets.token_hex(8)}"
    url = create_database(server_url, name, template=template)
    try:
        yield name, url
    finally:
        drop_database(server_url, name)


@dataclass
class _Copy:
    """A copy of the template, with a connection that is kept."""

    name: str
    url: str

    def __post_init__(self) -> None:
        # With a ping, because tests end sessions.
        self.engine = create_engine(self.url, isolation_level="AUTOCOMMIT", pool_size=1, pool_pre_ping=True)
        with self.engine.connect() as connection:
            self.may_restore = connection.scalar(_MAY_IGNORE_TRIGGERS)
            self.schema = connection.execute(SCHEMA).all()
            self.time_zone = connection.scalars(_TIME_ZONE).one()
            self.restore = restoring(connection)
            self.largest = connection.scalars(_SIZE).one() + _GROWTH


class ReusedDatabase:
    """A copy of a template that many tests use, one after the other.

    `clear` restores its rows. If a test has changed anything else, the next test gets a new copy of the same
    name: the engines that tests share keep what they have compiled for it, which is 50 ms of processor time.
    """

    def __init__(self, server_url: str, template: str) -> None:
        self._server_url = server_url
        self._template = template
        self._name = f"test_{secrets.token_hex(8)}"
        self._copy: _Copy | None = None

    @property
    def url(self) -> str:
        """The administrator's URL of the database, which has exactly the rows of the template."""
        if self._copy is None:
            url = create_database(self._server_url, self._name, template=self._template)
            self._copy = _Copy(self._name, url)
        return self._copy.url

    def clear(self) -> None:
        """Restore the template's rows, or drop the database if that is not enough."""
        if self._copy is None:
            return
        with self._copy.engine.connect() as connection:
            reusable = (
                self._copy.may_restore
                and connection.execute(SCHEMA).all() == self._copy.schema
                and connection.scalars(_SIZE).one() < self._copy.largest
            )
            if reusable:
                if connection.scalars(_TIME_ZONE).one() != self._copy.time_zone:
                    connection.exec_driver_sql(self._copy.time_zone)
                connection.exec_driver_sql(self._copy.restore)
        if not reusable:
            self.drop()

    def drop(self) -> None:
        if self._copy is not None:
            self._copy.engine.dispose()
            drop_database(self._server_url, self._copy.name)
            self._copy = None


def restoring(connection: Connection, *, end_sessions: bool = True) -> str:
    """The statements, sent as one message, that give a database its present rows and sequences again."""
    tables = list(connection.scalars(_TABLES))
    statements = [_END_SESSIONS] if end_sessions else []
    statements += ["BEGIN", "SET LOCAL session_replication_role = replica"]  # no triggers
    statements += [f"DELETE FROM {table}" for table in tables]
    for table in tables:
        rows = connection.scalar(text(f"SELECT CAST(json_agg(t) AS text) FROM {table} t"))
        if rows is not None:
            statements.append(
                f"INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM "
                f"json_populate_recordset(CAST(NULL AS {table}), $rows${rows}$rows$)"
            )
    return ";".join([*statements, *connection.scalars(_SEQUENCES), "COMMIT"])


@contextmanager
def connected(url: str | URL) -> Iterator[Connection]:
    """A transaction of a session of its own."""
    with create_engine(url, poolclass=NullPool).begin() as connection:
        yield connection


def execute(url: str | URL, *statements: str) -> None:
    """Change a database in a transaction of its own."""
    with connected(url) as connection:
        for statement in filter(str.strip, statements):
            connection.exec_driver_sql(statement)
