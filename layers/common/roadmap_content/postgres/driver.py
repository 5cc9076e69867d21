"""pg8000 with one round trip a statement, where it takes three.

pg8000 waits for the answer to Parse, then for that to Bind, before it lets a statement run; and it reads each
statement character by character to number its parameters, every time anew. A unit of work here is two or
three statements, so that both count: on AWS, each round trip is most of a millisecond.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pg8000 import core, dbapi

PING = ";"
"""What SQLAlchemy asks a connection from its pool, to see whether the server is still there."""


class Cursor(dbapi.Cursor):  # type: ignore[misc] # pg8000 has no types
    """A cursor that numbers the parameters of a statement once."""

    def execute(self, operation: str, args: Sequence[Any] = (), stream: object = None) -> None:
        """Execute a statement whose parameters are written as `%s`."""
        if self._c is not None and not self._c._in_transaction and not self._c.autocommit:
            self._c.execute_simple("begin transaction")
            if operation == PING:
                return  # it is
        if not args or stream is not None or self._c is None:
            super().execute(operation, args, stream)
            return
        self._context = self._c.execute_unnamed(_numbered(operation), vals=args, oids=self._input_oids)
        self._row_iter = None if self._context.rows is None else iter(self._context.rows)
        self._input_oids: Sequence[int] = ()
        self.input_types: Sequence[int] = []


class Connection(dbapi.Connection):  # type: ignore[misc] # pg8000 has no types
    """A connection that sends all messages of a statement in one flight."""

    def cursor(self) -> Cursor:
        """A cursor of this connection."""
        return Cursor(self)

    def execute_unnamed(
        self, statement: str, vals: Sequence[Any] = (), oids: Sequence[int] = (), stream: object = None
    ) -> core.Context:
        """Execute a statement whose parameters are written as `$1`, `$2`, …"""
        if stream is not None or self._sock is None:
            return super().execute_unnamed(statement, vals, oids, stream)
        context = core.Context(statement)
        self.send_PARSE(core.NULL_BYTE, statement, oids)
        self.send_DESCRIBE_STATEMENT(core.NULL_BYTE)
        self.send_BIND(core.NULL_BYTE, core.make_params(self.py_types, vals))
        self.send_EXECUTE()
        core._write(self._sock, core.SYNC_MSG)
        core._flush(self._sock)
        self.handle_messages(context)
        return context


@lru_cache(maxsize=256)
def _numbered(operation: str) -> str:
    statement, _ = dbapi.convert_paramstyle("format", operation, ())
    return str(statement)
