"""The database engine: one connection per execution environment, quick, bounded and never poisoned.

The facts behind each choice were measured: Nagle's algorithm costs 40 ms a round trip and pg8000 leaves it
on; a pool of one with a ping costs 0.4 ms a transaction where connecting costs 8; `jit` turns a 33 ms
statement into 671; and any Python exception while pg8000 binds leaves the connection one answer behind.
"""

import json
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pg8000.dbapi
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import QueuePool

STATEMENT_TIMEOUT = 30
LOCK_TIMEOUT = 10
CONNECT_TIMEOUT = 5
"""Seconds. A socket waits a little longer than a statement may take, so that the server speaks first."""

# A backend whose client is gone while it waits for a lock would keep its own locks until the wait ends:
# client_connection_check_interval makes it notice (PostgreSQL 14 and later, on Linux).
_OPTIONS = " ".join(
    f"-c {name}={value}"
    for name, value in {
        "statement_timeout": f"{STATEMENT_TIMEOUT}s",
        "lock_timeout": f"{LOCK_TIMEOUT}s",
        "idle_in_transaction_session_timeout": f"{STATEMENT_TIMEOUT}s",
        "client_connection_check_interval": "1s",
        "timezone": "UTC",
        "jit": "off",
    }.items()
)


@dataclass(frozen=True)
class Credentials:
    """Where the database is and who asks."""

    host: str
    port: int
    database: str
    user: str
    password: str

    def __repr__(self) -> str:
        """Everything but the password, which must not reach a log or a traceback."""
        return f"Credentials({self.user}@{self.host}:{self.port}/{self.database})"

    @classmethod
    def from_secret(cls, secret: str) -> "Credentials":
        """Read the JSON that RDS keeps in Secrets Manager."""
        fields = json.loads(secret)
        return cls(
            host=fields["host"],
            port=int(fields["port"]),
            database=fields["dbname"],
            user=fields["username"],
            password=fields["password"],
        )

    @classmethod
    def from_url(cls, url: URL) -> "Credentials":
        """Read a SQLAlchemy URL."""
        return cls(
            host=url.host or "127.0.0.1",
            port=url.port or 5432,
            database=url.database or "",
            user=url.username or "",
            password=url.password or "",
        )


def open_engine(credentials: Callable[[], Credentials], *, tls: bool) -> Engine:
    """Make the engine; nothing is connected yet.

    Args:
        credentials: asked once per connection that is opened, so that a rotated password is picked up.
        tls: verify the server's certificate and name; otherwise the connection is plain.
    """
    context = ssl.create_default_context() if tls else False
    engine = create_engine(
        "postgresql+pg8000://",
        creator=lambda: _connect(credentials(), context),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,  # content does not belong into logs
    )
    event.listen(engine, "handle_error", _discard_if_out_of_step)
    return engine


def _connect(credentials: Credentials, tls: "ssl.SSLContext | bool") -> pg8000.dbapi.Connection:
    connection = socket.create_connection((credentials.host, credentials.port), CONNECT_TIMEOUT)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.settimeout(STATEMENT_TIMEOUT + CONNECT_TIMEOUT)
        return pg8000.dbapi.connect(
            user=credentials.user,
            host=credentials.host,  # the name that TLS verifies
            database=credentials.database,
            password=credentials.password,
            ssl_context=tls,
            application_name="roadmap-content",
            startup_params={"options": _OPTIONS},
            sock=connection,
        )
    except BaseException:
        connection.close()
        raise


def _discard_if_out_of_step(context: ExceptionContext) -> None:
    """Give up a connection whose protocol was interrupted by an error that is not the server's."""
    original: Any = context.original_exception
    if not isinstance(original, pg8000.dbapi.Error) or isinstance(original, pg8000.dbapi.InterfaceError):
        context.is_disconnect = True
