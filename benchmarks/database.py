"""The benchmark database: a separate server with fsync, filled with the rows of another roadmap."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, NullPool, create_engine, make_url, text

from local_stack.given_database import given_or_embedded
from local_stack.postgres_server import PostgresServer
from migrations import migrate
from roadmap_content.content.kind import save_parameters
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.platform.postgres.engine import Credentials, open_engine

from .curriculum import Author, concept_ids
from .stock import ROADMAP, TASK

NEIGHBOUR = "neighbour-5f2a8c31"
CONTENT = ("tutorial_metadata", "resource_recommendation_metadata", "quiz_metadata")
OURS = ("content_events", "content_origins", "content_archive", "content_changes", "content_failures")
"""The tables that a save writes."""

INDEXES = text("""
SELECT CAST(CAST(indrelid AS regclass) AS text), coalesce(pg_get_expr(indpred, indrelid), 'true')
FROM pg_index WHERE CAST(CAST(indrelid AS regclass) AS text) = ANY(:tables)
""")

INSERT_ROADMAP = text("""
INSERT INTO roadmap_metadata (roadmap_id, user_id, title, framework_data) VALUES (:id, 'u', 'A roadmap', '{}')
""")


class Database:
    """A migrated database. `engine` is the product's own, with its one connection."""

    def __init__(self, url: str) -> None:
        credentials = Credentials.from_url(make_url(url))
        self.url = url
        self.engine: Engine = open_engine(lambda: credentials, tls=False, statement_timeout=600)
        # VACUUM cannot run in a transaction.
        self._administrator = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)

    def populate(self, author: Author, concepts: int) -> None:
        """Fill the tables with another roadmap's rows, so that indexes have depth and the planner has
        statistics.
        """
        with self.engine.begin() as connection:
            for roadmap_id in (ROADMAP, NEIGHBOUR):
                connection.execute(INSERT_ROADMAP, {"id": roadmap_id})
            connection.exec_driver_sql(  # Save reads whether its attempt is cancelled
                "INSERT INTO roadmap_tasks (task_id, user_id, status, current_step, roadmap_id, created_at,"
                " updated_at, attempt)"
                f" VALUES ('{TASK}', 'u', 'processing', 'content_generation', '{ROADMAP}', now(), now(), 1)"
            )
            connection.exec_driver_sql(
                "INSERT INTO content_attempts (task_id, attempt, actor, cause, step)"
                f" VALUES ('{TASK}', 1, 'user:u', 'first_run', 'planned')"
            )
            ids = concept_ids(NEIGHBOUR, concepts)
            entries = [author.entry(concept_id, number, 0) for number, concept_id in enumerate(ids)]
            for content_type, kind in CONTENT_KINDS.items():
                rows = [kind.to_row(NEIGHBOUR, entry["concept_id"], entry[content_type]) for entry in entries]
                connection.execute(text(kind.sql.save), save_parameters(NEIGHBOUR, rows))
        self.administer(["ANALYZE"])

    def forget(self) -> None:
        """Delete the rows of a trial, vacuum and checkpoint, so that the next trial is not affected."""
        self.administer(
            [
                *(f"DELETE FROM {table} WHERE roadmap_id = '{ROADMAP}'" for table in CONTENT),
                f"TRUNCATE {', '.join(OURS)}",
                f"VACUUM {', '.join(CONTENT)}",
                "CHECKPOINT",
            ]
        )

    def administer(self, statements: Sequence[str]) -> None:
        """Run statements outside of any transaction."""
        with self._administrator.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))

    def count(self) -> int:
        """The number of rows of the benchmarked roadmap in all three tables."""
        return sum(self._count(table, f"roadmap_id = '{ROADMAP}'") for table in CONTENT)

    def written(self) -> tuple[int, int, int]:
        """The rows and the index entries of the tables that a save writes, and the bytes of WAL so far."""
        with self._administrator.connect() as connection:
            wal = int(connection.scalar(text("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")) or 0)
            indexes = connection.execute(INDEXES, {"tables": [*CONTENT, *OURS]}).all()
        rows = sum(self._count(table) for table in (*CONTENT, *OURS))
        return rows, sum(self._count(*index) for index in indexes), wal

    def _count(self, table: str, condition: str = "true") -> int:
        with self._administrator.connect() as connection:
            return int(connection.scalar(text(f"SELECT count(*) FROM {table} WHERE {condition}")) or 0)


@contextmanager
def own_database() -> Iterator[Database]:
    """A temporary server with fsync and without autovacuum."""
    with (
        tempfile.TemporaryDirectory(prefix="roadmap-benchmark-") as folder,
        PostgresServer.start(Path(folder)) as server,
    ):
        migrate(server.url)
        database = Database(server.url)
        try:
            database.administer(["ALTER SYSTEM SET autovacuum = off", "SELECT pg_reload_conf()"])
            yield database
        finally:
            database.engine.dispose()


@contextmanager
def migrated_database() -> Iterator[str]:
    """The URL of an empty, migrated database without fsync: for counts, and for work that mostly reads."""
    with (
        tempfile.TemporaryDirectory(prefix="roadmap-benchmark-") as folder,
        given_or_embedded(Path(folder), fsync=False) as server,
    ):
        migrate(server.url)
        yield server.url
