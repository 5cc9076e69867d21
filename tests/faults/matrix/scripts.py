"""Scripts for the proxies: one per kind of fault."""

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.faults.matrix.database_proxy import DatabaseProxy, Script, Session


class Played(Script):
    """A script that is active for the duration of a block and must have injected its fault by the end."""

    def __init__(self, proxy: DatabaseProxy) -> None:
        self.proxy = proxy
        self.struck = threading.Event()

    def __enter__(self) -> Self:
        self.proxy.play(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.proxy.play()
        assert error or self.struck.is_set(), "the fault was not injected"


class Meet(Played):
    """Calls a function before the step's first statement; all sessions wait for it."""

    def __init__(self, proxy: DatabaseProxy, on_statement: Callable[[], object]) -> None:
        super().__init__(proxy)
        self._work = on_statement
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def on_statement(self, session: Session) -> None:
        """Call the function once."""
        with self._lock:
            if self.struck.is_set():
                return
            self.struck.set()
            try:
                self._work()
            except BaseException as error:  # the exception belongs to the test, not to this thread
                self._error = error
                raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        if self._error is not None:
            raise self._error


class Refuse(Played):
    """Closes all connections and refuses all new ones, or the first few."""

    def __init__(self, proxy: DatabaseProxy, times: int | None = None) -> None:
        super().__init__(proxy)
        self._left = times

    def __enter__(self) -> Self:
        super().__enter__()
        self.proxy.cut_all()
        return self

    def on_connect(self) -> bool:
        self.struck.set()
        if self._left is None:
            return False
        self._left -= 1
        return self._left < 0


class Hang(Played):
    """Never passes the first statement of the first session on."""

    def __init__(self, proxy: DatabaseProxy) -> None:
        super().__init__(proxy)
        self._over = threading.Event()
        self._lock = threading.Lock()

    def on_statement(self, session: Session) -> None:
        """Wait for the end of the block. The client has given up by then."""
        with self._lock:
            if self.struck.is_set():
                return
            self.struck.set()
        self._over.wait()
        session.cut()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        super().__exit__(kind, error, trace)


class CutStatement(Played):
    """Closes the connection at the first statement."""

    def on_statement(self, session: Session) -> None:
        if not self.struck.is_set():
            self.struck.set()
            session.cut()
