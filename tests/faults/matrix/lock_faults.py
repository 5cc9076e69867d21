"""Locks of another session."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text

from local_stack.processes import becomes_true
from tests.faults.matrix.declaration import Fault, Step
from tests.faults.matrix.means import (
    answering,
    end_sessions,
    role_with,
)
from tests.faults.matrix.play import Play
from tests.faults.matrix.registry import DATABASE, injects
from tests.faults.matrix.scripts import Gather


class Rival:
    """A session that locks the rows that the step needs next."""

    def __init__(self, play: Play, connection: Connection) -> None:
        self._play, self.connection = play, connection
        self._pid = connection.scalar(text("SELECT pg_backend_pid()"))

    def hold(self) -> None:
        """Take the lock after the step has started, because earlier parts of the cell also need it."""
        play = self._play
        match play.cell.step:
            case Step.GENERATE:  # which only reads, so that no row lock would block it
                self.connection.execute(text("LOCK TABLE content_failures IN ACCESS EXCLUSIVE MODE"))
            case Step.SAVE:
                self._change("roadmap_metadata", "roadmap_id", play.roadmap_id)
            case _:
                self._change("roadmap_tasks", "task_id", play.task_id)

    def _change(self, table: str, key: str, value: str) -> None:
        changes = f"UPDATE {table} SET user_id = user_id WHERE {key} = :value"
        self.connection.execute(text(changes), {"value": value})

    def await_waiting(self) -> None:
        """Wait until another session waits for the lock."""
        with self._play.rig.administering() as connection:
            waiting = text("SELECT count(*) FROM pg_stat_activity WHERE :pid = ANY (pg_blocking_pids(pid))")

            def is_waited_for() -> bool:
                return bool(connection.scalar(waiting, {"pid": self._pid}))

            assert becomes_true(is_waited_for, 600), "no session waits for the rival"


@contextmanager
def _rival(play: Play, then: Callable[[Rival], None] | None = None) -> Iterator[None]:
    """A rival that locks the rows that the step needs from its first statement on, and then calls `then`."""
    with play.rig.session() as connection:
        rival = Rival(play, connection)
        after = threading.Thread(target=then or (lambda _: None), args=(rival,))

        def come() -> None:
            rival.hold()
            after.start()

        with Gather(play.line.database, on_all=come):
            yield
            after.join()


@injects(
    Fault.LOCK_TIMEOUT,
    *DATABASE,
    what="another session holds the row (for Generate: the table) through two lock timeouts (55P03)",
)
def lock_timeout(play: Play) -> Iterator[None]:
    """The rival releases the lock after the time-out."""

    def hold_on(rival: Rival) -> None:
        assert becomes_true(lambda: play.line.database.errors.count("55P03") >= 2, 600), "no lock timeout"
        rival.connection.rollback()

    with _rival(play, hold_on), answering(play, "55P03"):
        yield


@injects(
    Fault.IDLE_HOLDER,
    *DATABASE,
    what="a session is idle in a transaction that holds the row (for Generate: the table), to the end",
)
def idle_holder(play: Play) -> Iterator[None]:
    """A session that is idle in transaction."""
    with _rival(play), answering(play, "55P03"):
        yield


@injects(
    Fault.LOCKED_ROADMAP,
    *(Step.FINALIZE, Step.RECONCILE),
    what="a session is idle in a transaction that holds the roadmap, until the run is over",
)
def locked_roadmap(play: Play) -> Iterator[None]:
    """A person selects the roadmap with FOR UPDATE and leaves the session open."""
    lock = text("SELECT 1 FROM roadmap_metadata WHERE roadmap_id = :id FOR UPDATE")
    with play.rig.session() as connection:

        def hold() -> None:
            connection.execute(lock, {"id": play.roadmap_id})

        with Gather(play.line.database, on_all=hold), answering(play, "55P03"):
            yield


@injects(
    Fault.SERIALIZATION,
    *(step for step in DATABASE if step is not Step.GENERATE),
    what="REPEATABLE READ, and another session changes the row meanwhile (40001)",
)
def serialization(play: Play) -> Iterator[None]:
    """The role's default isolation is stricter than ours."""
    setting = "default_transaction_isolation"

    def commit(rival: Rival) -> None:
        rival.await_waiting()
        rival.connection.commit()

    with (
        role_with(play, f"SET {setting} = 'repeatable read'", f"RESET {setting}"),
        _rival(play, commit),
        answering(play, "40001"),
    ):
        yield


@injects(
    Fault.DEADLOCK,
    *(Step.SAVE, Step.FINALIZE, Step.RECONCILE),
    what="another session takes the same locks in the other order (40P01)",
)
def deadlock(play: Play) -> Iterator[None]:
    """The step locks the roadmap's row and waits for the rival, which then requests the roadmap's row."""

    def cross(rival: Rival) -> None:
        rival.await_waiting()
        lock = "SELECT 1 FROM roadmap_metadata WHERE roadmap_id = :id FOR NO KEY UPDATE"
        rival.connection.execute(text(lock), {"id": play.roadmap_id})
        rival.connection.rollback()

    with (
        _limits(play, lock_timeout="3s", statement_timeout="3s"),
        role_with(play, "SET deadlock_timeout = '300ms'", "RESET deadlock_timeout"),
        play.rig.session() as connection,
    ):
        connection.execute(
            text("SET deadlock_timeout = '20s'")
        )  # so that the step becomes the deadlock victim
        rival = Rival(play, connection)
        after = threading.Thread(target=cross, args=(rival,))

        def come() -> None:
            if play.cell.step is Step.SAVE:  # not by an insert: its trigger makes it wait before Save locks
                connection.execute(text("LOCK TABLE quiz_metadata IN SHARE MODE"))
            else:
                rival.hold()
            after.start()

        with Gather(play.line.database, on_all=come), answering(play, "40P01"):
            yield
            after.join()


@contextmanager
def _limits(play: Play, **limits: str) -> Iterator[None]:
    """Other limits for the step's sessions."""
    proxy = play.line.database
    before = proxy.limits
    proxy.limits = before | limits
    end_sessions(play)
    try:
        yield
    finally:
        proxy.limits = before
        end_sessions(play)
