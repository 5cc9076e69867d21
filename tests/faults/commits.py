"""Faults at the boundary of a COMMIT, by real means: the backend is terminated, or the process is gone.

Before the COMMIT or after it; and either the connection is lost, which the step sees (and after the COMMIT
cannot know what became of it), or the whole process dies, which nobody in it sees.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import Connection, Engine, event, text


class ProcessDied(BaseException):
    """The process was killed: whatever it was about to do is not done."""


class When(StrEnum):
    """On which side of the COMMIT."""

    BEFORE = "before"
    AFTER = "after"


class How(StrEnum):
    """What is lost."""

    CONNECTION = "connection"
    PROCESS = "process"


class Strike(NamedTuple):
    """One fault: at the COMMIT with this number (from 0) of what is being done."""

    commit: int
    when: When
    how: How


class Commits:
    """Watches the COMMITs of an engine, and strikes at one when it is told to.

    `killer` is a second engine on the same database, to terminate the backends of the first.
    """

    def __init__(self, engine: Engine, killer: Engine) -> None:
        self._killer = killer
        self._strike: Strike | None = None
        self._count = 0
        event.listen(engine, "commit", self._on_commit)

    @contextmanager
    def struck(self, strike: Strike | None) -> Iterator[None]:
        """Strike once in what is done inside, if it comes to that COMMIT."""
        self._strike, self._count = strike, 0
        try:
            yield
        finally:
            self._strike = None

    def _on_commit(self, connection: Connection) -> None:
        strike, number = self._strike, self._count
        self._count += 1
        if strike is None or strike.commit != number:
            return
        self._strike = None
        driver = connection.connection.dbapi_connection
        assert driver is not None
        cursor = driver.cursor()
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone() or (0,)
        if strike.when is When.AFTER:
            driver.commit()
        if strike.how is How.PROCESS:
            raise ProcessDied
        # SQLAlchemy's own COMMIT comes next, and finds nobody there.
        with self._killer.connect() as killer:
            killer.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
