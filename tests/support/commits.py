"""Real faults before or after a COMMIT: the backend is terminated, or the process is killed.

If the connection is lost, the step gets an error, but after the COMMIT it cannot find out the outcome. If the
process is killed, none of its code runs any more.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection, Engine, event, text


class ProcessDied(BaseException):
    """The process was killed. The remaining work is not done."""


class When(StrEnum):
    """The side of the COMMIT."""

    BEFORE = "before"
    AFTER = "after"


class How(StrEnum):
    """The kind of loss."""

    CONNECTION = "connection"
    PROCESS = "process"


class Strike(NamedTuple):
    """One fault at the COMMIT with this number, counted from 0."""

    commit: int
    when: When
    how: How


class Commits:
    """Counts the COMMITs of an engine and injects a fault at one of them.

    `killer` is a second engine on the same database, which terminates the backends of the first.
    """

    def __init__(self, engine: Engine, killer: Engine) -> None:
        self._killer = killer
        self._strike: Strike | None = None
        self._meanwhile: tuple[int, Callable[[], object]] | None = None
        self._count = 0
        self.strikes = 0
        """Faults and changes that were injected."""

        event.listen(engine, "commit", self._on_commit)

    @contextmanager
    def struck(self, strike: Strike | None) -> Iterator[None]:
        """Inject the fault once inside the block, if that COMMIT is reached."""
        self._strike, self._count = strike, 0
        try:
            yield
        finally:
            self._strike = None

    @contextmanager
    def meanwhile(self, commit: int, change: Callable[[], object]) -> Iterator[None]:
        """Call a function inside the block once, directly after the COMMIT with this number."""
        self._meanwhile, self._count = (commit, change), 0
        try:
            yield
        finally:
            self._meanwhile = None

    def _on_commit(self, connection: Connection) -> None:
        strike, meanwhile, number = self._strike, self._meanwhile, self._count
        if strike is None and meanwhile is None:
            return
        driver = connection.connection.dbapi_connection
        assert driver is not None
        cursor = driver.cursor()
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone() or (0,)
        self._count += 1
        if meanwhile is not None and meanwhile[0] == number:
            self._meanwhile = None
            self.strikes += 1
            driver.commit()  # SQLAlchemy's own COMMIT follows, and finds nothing to do.
            meanwhile[1]()
        if strike is None or strike.commit != number:
            return
        self._strike = None
        self.strikes += 1
        if strike.when is When.AFTER:
            driver.commit()
        if strike.how is How.PROCESS:
            raise ProcessDied
        # SQLAlchemy's own COMMIT follows and finds the connection closed.
        with self._killer.connect() as killer:
            killer.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
