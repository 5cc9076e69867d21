"""Scripts for the proxies: one per kind of fault."""

import threading
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


class CutStatement(Played):
    """Closes the connection at the first statement."""

    def on_statement(self, session: Session) -> None:
        if not self.struck.is_set():
            self.struck.set()
            session.cut()
