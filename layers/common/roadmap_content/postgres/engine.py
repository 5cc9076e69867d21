"""The database engine: one connection per execution environment, quick, bounded and never poisoned.

The facts behind each choice were measured: Nagle's algorithm costs 40 ms a round trip and pg8000 leaves it
on; a pool of one with a ping costs 0.4 ms a transaction where connecting costs 8; `jit` turns a 33 ms
statement into 671; and any Python exception while pg8000 writes or reads leaves the connection out of step.
"""

import json
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pg8000.dbapi
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import QueuePool

from ..errors import MissingSettingError
from ..runtime.settings import SessionSource
from .driver import Connection
from .tls import verifying_context

STATEMENT_TIMEOUT = 30
LOCK_TIMEOUT = 10
CONNECT_TIMEOUT = 5
"""Seconds. A socket waits a little longer than a statement may take, so that the server speaks first."""


def session_limits(statement_timeout: int = STATEMENT_TIMEOUT) -> Mapping[str, str]:
    """What every session is to have set; `statement_timeout` in seconds."""
    return {
        "statement_timeout": f"{statement_timeout}s",
        "lock_timeout": f"{LOCK_TIMEOUT}s",
        "idle_in_transaction_session_timeout": f"{statement_timeout}s",
        # A backend whose client is gone while it waits for a lock would keep its own locks until the wait
        # ends; so it looks (PostgreSQL 14 and later, on Linux).
        "client_connection_check_interval": "1s",
        # And one whose client is gone without a word, with its machine, would keep the session's.
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "3",
        "timezone": "UTC",
        "jit": "off",
    }


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
        """Read the JSON that RDS keeps in Secrets Manager.

        Raises:
            MissingSettingError: it is not that; the message names what is missing, and nothing that is there.
        """
        try:
            fields = json.loads(secret)
            return cls(
                host=fields["host"],
                port=int(fields["port"]),
                database=fields["dbname"],
                user=fields["username"],
                password=fields["password"],
            )
        except KeyError as error:
            raise MissingSettingError(f"the database's secret has no {error}") from None
        except (TypeError, ValueError):
            raise MissingSettingError("the database's secret is not the JSON that RDS keeps") from None

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


def open_engine(
    credentials: Callable[[], Credentials],
    *,
    tls: bool,
    session: SessionSource = "options",
    statement_timeout: int = STATEMENT_TIMEOUT,
) -> Engine:
    """Make the engine; nothing is connected yet.

    Args:
        credentials: asked once per connection that is opened, so that a rotated password is picked up.
        tls: verify the server's certificate and name; otherwise the connection is plain.
        session: set the session's limits while connecting, or leave them to those of the role. RDS Proxy
            refuses the first ("currently doesn't support command-line options"), and a SET afterwards
            would pin the session to one of its services.
        statement_timeout: seconds that a statement may take.
    """
    context = verifying_context() if tls else False
    limits = session_limits(statement_timeout) if session == "options" else {}
    startup = {"options": " ".join(f"-c {name}={value}" for name, value in limits.items())} if limits else {}
    socket_timeout = statement_timeout + CONNECT_TIMEOUT
    engine = create_engine(
        "postgresql+pg8000://",
        creator=lambda: _connect(credentials(), context, startup, socket_timeout),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT,
        pool_pre_ping=True,
        hide_parameters=True,  # content does not belong into logs
    )
    event.listen(engine, "handle_error", _discard_if_out_of_step)
    return engine


def _connect(
    credentials: Credentials, tls: ssl.SSLContext | bool, startup: Mapping[str, str], socket_timeout: int
) -> Connection:
    connection = socket.create_connection((credentials.host, credentials.port), CONNECT_TIMEOUT)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.settimeout(CONNECT_TIMEOUT)
        opened = Connection(
            user=credentials.user,
            host=credentials.host,  # the name that TLS verifies
            database=credentials.database,
            password=credentials.password,
            ssl_context=tls,
            application_name="roadmap-content",
            startup_params=dict(startup),
            sock=connection,
        )
    except BaseException:
        connection.close()
        raise
    opened.longest_wait = socket_timeout
    opened.wait_at_most(socket_timeout)
    return opened


def _discard_if_out_of_step(context: ExceptionContext) -> None:
    """Give up a connection whose protocol was interrupted by an error that is not the server's."""
    original: Any = context.original_exception
    if not isinstance(original, pg8000.dbapi.Error) or isinstance(original, pg8000.dbapi.InterfaceError):
        context.is_disconnect = True
