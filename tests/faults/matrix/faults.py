"""Faults in one step: lost connections, refused writes, locks of another session, a bucket that denies each
request, an execution that is stopped.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from botocore.exceptions import ClientError
from sqlalchemy import Connection, NullPool, create_engine, text

from roadmap_content.platform.storage.bucket import Bucket
from tests.faults.matrix.scripts import CutStatement, Played, Refuse
from tests.faults.matrix.steps import Play, Step
from tests.support.memory_s3 import ObservedS3

Fault = Callable[[Play], AbstractContextManager[object]]

SHORT, LONG = "50ms", "60s"
"""Lock timeouts: one that a test waits for, and one within which another session has surely acted."""

TASK = ("roadmap_tasks", "task_id")
LOCKED = {Step.GENERATE: ("content_attempts", "attempt"), Step.SAVE: ("roadmap_metadata", "roadmap_id")}
"""The table, with a column, of the row that a step needs; other steps need the task's row."""


def unreachable(play: Play) -> Refuse:
    """Every connection is refused."""
    return Refuse(play.setting.proxy)


def away_and_back(play: Play) -> Refuse:
    """A failover: connections are lost, and the next two are refused."""
    return Refuse(play.setting.proxy, times=2)


def lost_in_statement(play: Play) -> CutStatement:
    """The connection is lost once; the first statement never arrives."""
    return CutStatement(play.setting.proxy)


@contextmanager
def _role_with(play: Play, setting: str, undo: str, sqlstate: str) -> Iterator[None]:
    """Change the steps' role for its next sessions."""
    with _owner(play) as connection:
        connection.execute(text(f"ALTER ROLE {play.setting.role} {setting}"))
        play.setting.proxy.cut_all()
        try:
            with _answering(play, sqlstate):
                yield
        finally:
            connection.execute(text(f"ALTER ROLE {play.setting.role} {undo}"))
            play.setting.proxy.cut_all()


def connection_limit(play: Play) -> AbstractContextManager[None]:
    """The role may open no connection."""
    return _role_with(play, "CONNECTION LIMIT 0", "CONNECTION LIMIT -1", "53300")


def read_only(play: Play) -> AbstractContextManager[None]:
    """As after a failover to a standby."""
    name = "default_transaction_read_only"
    return _role_with(play, f"SET {name} = on", f"RESET {name}", "25006")


@contextmanager
def without_rights(play: Play) -> Iterator[None]:
    """A migration revoked the right to read a table."""
    table = LOCKED.get(play.step, TASK)[0]
    with _owner(play) as connection:
        connection.execute(text(f"REVOKE SELECT ON {table} FROM {play.setting.role}"))
        try:
            with _answering(play, "42501"):
                yield
        finally:
            connection.execute(text(f"GRANT SELECT ON {table} TO {play.setting.role}"))


def raising(sqlstate: str) -> Fault:
    """A trigger refuses each row of the table that the step writes."""

    @contextmanager
    def fault(play: Play) -> Iterator[None]:
        body = f"BEGIN RAISE EXCEPTION 'no' USING ERRCODE = '{sqlstate}'; END"
        with _owner(play) as connection:
            connection.execute(
                text(f"CREATE FUNCTION strike() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
            )
            connection.execute(
                text(
                    f"CREATE TRIGGER strike BEFORE INSERT OR UPDATE ON {play.table} FOR EACH ROW"
                    f" WHEN (session_user = '{play.setting.role}') EXECUTE FUNCTION strike()"
                )
            )
            try:
                with _answering(play, sqlstate):
                    yield
            finally:
                connection.execute(text("DROP FUNCTION strike CASCADE"))

    return fault


@contextmanager
def undecodable(play: Play) -> Iterator[None]:
    """The product wrote numbers of 5,000 digits and an infinite date, which PostgreSQL stores."""
    play.world.pipeline.execute(
        "UPDATE roadmap_tasks SET failed_concepts = CAST(:digits AS json),"
        " user_request = CAST(:digits AS json), execution_summary = CAST(:digits AS json),"
        " created_at = '-infinity' WHERE task_id = 't-1'",
        digits="9" * 5_000,
    )
    yield


@contextmanager
def s3_denied(play: Play) -> Iterator[None]:
    """A bucket policy denies each request."""
    services = play.world.services
    bucket = services.bucket

    answer: Any = {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}

    def deny(request: str, _: object) -> None:
        raise ClientError(answer, request)

    services.bucket = Bucket(bucket.name, ObservedS3(play.setting.scene.s3, deny).client)
    try:
        yield
    finally:
        services.bucket = bucket


@contextmanager
def stopped(play: Play) -> Iterator[None]:
    """StopExecution while the step works: it goes on after the end of the execution is recorded."""
    play.world.stop(play.run)
    play.world.reconcile(play.run)
    yield


# Locks of another session.


@contextmanager
def _rival(play: Play, lock: str) -> Iterator[Connection]:
    """A session with an open transaction and a lock."""
    engine = create_engine(play.setting.scene.database_url, poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(lock))
        yield connection


def _changing(play: Play) -> str:
    """A change of the row that the step locks or changes."""
    table, key = LOCKED.get(play.step, TASK)
    return f"UPDATE {table} SET {key} = {key}"


class _ReleaseAtSecondTimeout(Played):
    """Ends the rival's transaction at the second lock timeout; nothing waits for it if it never comes."""

    def __init__(self, play: Play, rival: Connection) -> None:
        super().__init__(play.setting.proxy)
        self._rival = rival

    def on_error(self, sqlstate: str) -> None:
        if self.proxy.errors.count("55P03") == 2 and not self.struck.is_set():
            self.struck.set()
            self._rival.rollback()


@contextmanager
def lock_timeout(play: Play) -> Iterator[None]:
    """Another session holds the row through two lock timeouts."""
    with (
        _rival(play, _changing(play)) as rival,
        _limits(play, lock_timeout=SHORT),
        _ReleaseAtSecondTimeout(play, rival),
    ):
        yield


@contextmanager
def idle_holder(play: Play) -> Iterator[None]:
    """A session is idle in a transaction that holds the row."""
    with _rival(play, _changing(play)), _limits(play, lock_timeout=SHORT), _answering(play, "55P03"):
        yield


@contextmanager
def locked_roadmap(play: Play) -> Iterator[None]:
    """A person selects the roadmap FOR UPDATE and leaves the session open."""
    lock = "SELECT FROM roadmap_metadata WHERE roadmap_id = 'r-1' FOR UPDATE"
    with _rival(play, lock), _limits(play, lock_timeout=SHORT), _answering(play, "55P03"):
        yield


@contextmanager
def _when_waited_for(play: Play, rival: Connection, work: Callable[[], object]) -> Iterator[None]:
    """Let the rival do something as soon as the step waits for it."""
    waiting = text("SELECT count(*) FROM pg_stat_activity WHERE :pid = ANY (pg_blocking_pids(pid))")
    pid = rival.scalar(text("SELECT pg_backend_pid()"))
    over = threading.Event()

    def watch() -> None:
        with _owner(play) as connection:
            while not connection.scalar(waiting, {"pid": pid}):
                if over.wait(0.005):
                    return
        work()

    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch)
        try:
            yield
        finally:
            over.set()
        watching.result()


@contextmanager
def serialization(play: Play) -> Iterator[None]:
    """The session's isolation is REPEATABLE READ, and another session changes the row meanwhile."""
    with (
        _limits(play, lock_timeout=LONG, default_transaction_isolation="repeatable read"),
        _answering(play, "40001"),
        _rival(play, _changing(play)) as rival,
        _when_waited_for(play, rival, rival.commit),
    ):
        yield


@contextmanager
def deadlock(play: Play) -> Iterator[None]:
    """The step has locked the roadmap and waits for another session, which then requests the roadmap."""
    # Not by an insert: its trigger would lock the roadmap before Save does.
    lock = "LOCK TABLE quiz_metadata IN SHARE MODE" if play.step is Step.SAVE else _changing(play)
    with (
        _limits(play, lock_timeout=LONG),
        # PostgreSQL looks for a cycle once: after the rival has crossed, on a busy machine too.
        _role_with(play, "SET deadlock_timeout = '2s'", "RESET deadlock_timeout", "40P01"),
        _rival(play, lock) as rival,
    ):
        rival.execute(text("SET deadlock_timeout = '60s'"))  # the step becomes the victim

        def cross() -> None:
            rival.execute(text("SELECT FROM roadmap_metadata FOR NO KEY UPDATE"))
            rival.rollback()

        with _when_waited_for(play, rival, cross):
            yield


@contextmanager
def _limits(play: Play, **limits: str) -> Iterator[None]:
    """Other limits for the step's next sessions."""
    proxy = play.setting.proxy
    proxy.limits = limits
    proxy.cut_all()
    try:
        yield
    finally:
        proxy.limits = {}
        proxy.cut_all()


@contextmanager
def _answering(play: Play, sqlstate: str) -> Iterator[None]:
    """Check that the server has answered with this SQLSTATE by the end."""
    play.setting.proxy.play()
    yield
    errors = play.setting.proxy.errors
    assert sqlstate in errors, f"{sqlstate} was never answered: {errors}"


@contextmanager
def _owner(play: Play) -> Iterator[Connection]:
    """A session of the database owner in autocommit mode."""
    url = play.setting.scene.database_url
    with create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool).connect() as connection:
        yield connection
