"""pg8000 with one network round trip per statement instead of three.

pg8000 waits for the response to Parse and then to Bind before it executes a statement, and it parses each
statement again to number its parameters. A unit of work has two or three statements, so both matter: a round
trip on AWS takes almost a millisecond.
"""

from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from functools import lru_cache, partial
from socket import SHUT_RDWR
from typing import Any

import sqlalchemy
from pg8000 import core, dbapi

from ...contracts.documents import read_json, storable_text

_TIMESTAMP, _TIMESTAMPTZ, _JSON, _JSONB = 1114, 1184, 114, 3802
"""Type OIDs of PostgreSQL."""

PING = ";"
"""The statement with which SQLAlchemy checks a pooled connection."""


PING_TIMEOUT = 1
"""Seconds within which the server must answer a ping."""


def wait_at_most(connection: sqlalchemy.Connection, seconds: float) -> None:
    """Set the time for which a connection waits for a response, up to its original limit."""
    driver = connection.connection.dbapi_connection
    if isinstance(driver, Connection):
        driver.wait_at_most(seconds)


def read_time(value: str, zone: tzinfo | None = None) -> datetime:
    """Read a timestamp, of which one with a zone is in UTC. One outside Python's range (infinite, BC, after
    9999) becomes the nearest limit.
    """
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        past = value == "-infinity" or value.endswith(" BC")
        return datetime(1, 1, 2, tzinfo=zone) if past else datetime(9999, 12, 30, tzinfo=zone)


class Cursor(dbapi.Cursor):  # type: ignore[misc] # pg8000 has no types
    """A cursor that caches the parameter numbering of statements."""

    def execute(self, operation: str, args: Sequence[Any] = (), stream: object = None) -> None:
        """Execute a statement with parameters written as `%s`."""
        if self._c is not None and not self._c._in_transaction and not self._c.autocommit:
            if operation == PING:
                # SQLAlchemy pings outside a transaction: beginning the next one is a ping, too.
                self._c.wait_at_most(PING_TIMEOUT)
                self._c.execute_simple(self._c.begin)
                self._c.wait_at_most(self._c.longest_wait)
                return
            self._c.execute_simple(self._c.begin)
        if not args or stream is not None or self._c is None:
            super().execute(operation, args, stream)
            return
        # The fields of a cursor, as pg8000's own `execute` leaves them.
        self._context = self._c.execute_unnamed(_numbered(operation), vals=args, oids=self._input_oids)
        self._row_iter = None if self._context.rows is None else iter(self._context.rows)
        self._input_oids: Sequence[int] = ()
        self.input_types: Sequence[int] = []


class Connection(dbapi.Connection):  # type: ignore[misc] # pg8000 has no types
    """A connection that sends all messages of a statement at once, and stores and reads texts of any
    content.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - the arguments of pg8000
        super().__init__(*args, **kwargs)
        self.register_in_adapter(_TIMESTAMP, read_time)
        self.register_in_adapter(_TIMESTAMPTZ, partial(read_time, zone=UTC))
        for oid in (_JSON, _JSONB):
            self.register_in_adapter(oid, read_json)
        self.register_out_adapter(str, storable_text)

    begin = "begin transaction"
    """The statements that begin a transaction, in one round trip."""

    longest_wait: float | None = None
    """Maximum seconds for any response; `None` for no limit."""

    def wait_at_most(self, seconds: float | None) -> None:
        """Set the maximum seconds for a response, up to `longest_wait`."""
        bounds = [bound for bound in (seconds, self.longest_wait) if bound is not None]
        if self._usock is not None:
            self._usock.settimeout(min(bounds, default=None))

    def close(self) -> None:
        """Close the connection and its socket, also while an exception's traceback refers to them. With
        pg8000 alone, the socket stays open until the last reference to its file object is dropped.
        """
        socket, file = self._usock, self._sock
        try:
            super().close()
        finally:
            if socket is not None and file is not None:
                with suppress(OSError):
                    socket.shutdown(SHUT_RDWR)  # do not wait until buffered data is sent
                with suppress(OSError):
                    file.close()

    def cursor(self) -> Cursor:
        return Cursor(self)

    def execute_unnamed(
        self, statement: str, vals: Sequence[Any] = (), oids: Sequence[int] = (), stream: object = None
    ) -> core.Context:
        """Execute a statement with parameters written as `$1`, `$2`, …"""
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
    """The statement with its parameters `%s` as `$1`, `$2`, …"""
    statement, _ = dbapi.convert_paramstyle("format", operation, ())
    return str(statement)
