"""The database engine: one connection per execution environment, with timeouts.

The reasons are measured: Nagle's algorithm costs 40 ms per round trip, and pg8000 does not disable it; a pool
of one connection with a ping costs 0.4 ms per transaction, while connecting costs 8 ms; `jit` turns a
statement of 33 ms into one of 671 ms; and any Python exception while pg8000 writes or reads leaves the
connection in an undefined state.
"""

import json
import os
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pg8000.dbapi
from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.pool import QueuePool

from ...contracts.errors import MissingSettingError
from ..runtime.settings import SessionSource
from . import transactions
from .driver import Connection

STATEMENT_TIMEOUT = 30
LOCK_TIMEOUT = 3
CONNECT_TIMEOUT = 3
"""In seconds. A socket waits a little longer than the statement timeout, so that the server reports it first.
The lock timeout is short, because a session that waits for a lock keeps its other locks. After the timeout,
the transaction is rolled back and tried again, so that other sessions can continue meanwhile.
"""


SESSION_DEFAULTS: Mapping[str, str] = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "default_transaction_isolation": "read committed",
    "standard_conforming_strings": "on",
}
"""Settings on which the effect of our statements and the driver's reading of times depend. The product's
database may have others: of `SQL, DMY`, days would be read as months.
"""


def session_limits(statement_timeout: int = STATEMENT_TIMEOUT) -> Mapping[str, str]:
    """The settings of every session. `statement_timeout` is in seconds."""
    return {
        **SESSION_DEFAULTS,
        "statement_timeout": f"{statement_timeout}s",
        "lock_timeout": f"{LOCK_TIMEOUT}s",
        "idle_in_transaction_session_timeout": f"{statement_timeout}s",
        # Otherwise a backend with a disconnected client keeps its locks while it waits for another lock. With
        # this setting it checks the connection (PostgreSQL 14 and later, on Linux).
        "client_connection_check_interval": "1s",
        # Keepalives detect that a client's machine failed without closing the connection.
        "tcp_keepalives_idle": "30",
        "tcp_keepalives_interval": "10",
        "tcp_keepalives_count": "3",
        "jit": "off",
    }


@dataclass(frozen=True)
class Credentials:
    """The coordinates of the database and its credentials."""

    host: str
    port: int
    database: str
    user: str
    password: str

    def __repr__(self) -> str:
        """All fields except the password, which must not appear in a log or a traceback."""
        return f"Credentials({self.user}@{self.host}:{self.port}/{self.database})"

    @classmethod
    def from_secret(cls, secret: str) -> "Credentials":
        """Read the JSON that RDS keeps in Secrets Manager.
        Raises MissingSettingError: it has another format; the message names missing keys, but no value.
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
        place = url.host or "127.0.0.1", url.port or 5432, url.database or ""
        return cls(*place, url.username or "", url.password or "")


def open_engine(
    credentials: Callable[[], Credentials],
    *,
    tls: bool,
    session: SessionSource = "options",
    statement_timeout: int = STATEMENT_TIMEOUT,
    first: str = "",
    is_patient: bool = True,
) -> Engine:
    """Create the engine; it connects on first use.

    Args:
        credentials: called for each new connection, so that a rotated password is read again.
        tls: verify the server's certificate and name; otherwise no TLS.
        session: set the session's limits at connect time, or rely on those of the role. RDS Proxy refuses the
            first ("currently doesn't support command-line options"), and a later SET would pin the session.
        statement_timeout: in seconds.
        first: the first statement of each transaction, sent with its begin.
        is_patient: connect again until the deadline (`transactions.transact`), and wait longer for each
            connection: a person waits for a ping (1 s) and for one connection at most.
    """
    context = verifying_context() if tls else False
    connect_timeout = CONNECT_TIMEOUT if is_patient else transactions.IMPATIENT_SECONDS
    limits = session_limits(statement_timeout) if session == "options" else {}
    options = [f"--{name}={value}".replace(" ", "\\ ") for name, value in limits.items()]
    startup = {"options": " ".join(options)} if options else {}
    engine = create_engine(
        "postgresql+pg8000://",
        creator=lambda: _connect(
            credentials(), context, startup, connect_timeout, statement_timeout + CONNECT_TIMEOUT, first
        ),
        poolclass=QueuePool,
        pool_size=1,
        max_overflow=0,
        pool_timeout=CONNECT_TIMEOUT,
        pool_pre_ping=True,
        hide_parameters=True,  # content must not be logged
        execution_options={transactions.IS_PATIENT: is_patient},
    )
    event.listen(engine, "handle_error", _discard_if_out_of_step)
    return engine


def _connect(
    credentials: Credentials,
    tls: ssl.SSLContext | bool,
    startup: Mapping[str, str],
    connect_timeout: float,
    socket_timeout: int,
    first: str,
) -> Connection:
    """Open a connection. The socket is opened here, because pg8000 sets no TCP_NODELAY. `startup` are options
    of the session, `socket_timeout` the seconds for any later response, `first` as in `open_engine`.
    """
    connection = socket.create_connection((credentials.host, credentials.port), connect_timeout)
    try:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        connection.settimeout(connect_timeout)
        opened = Connection(
            user=credentials.user,
            host=credentials.host,  # the host name that TLS verifies
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
    opened.begin = f"{Connection.begin};{first}"
    opened.wait_at_most(socket_timeout)
    return opened


def _discard_if_out_of_step(context: ExceptionContext) -> None:
    """Discard a connection after an error that is not the server's: its protocol may be interrupted."""
    original: Any = context.original_exception
    if not isinstance(original, pg8000.dbapi.Error) or isinstance(original, pg8000.dbapi.InterfaceError):
        context.is_disconnect = True


CERTIFICATES = Path(__file__).parent / "certificates"
"""The PEM files of authorities, deployed with the layer."""


def verifying_context(certificates: Path = CERTIFICATES) -> ssl.SSLContext:
    """A context that verifies the server's certificate and name. Amazon RDS uses its own authorities, which
    are in no system trust store. RDS Proxy uses public ones.
    """
    context = ssl.create_default_context()
    for authorities in authorities_of(os.environ.get("AWS_REGION", ""), certificates):
        context.load_verify_locations(authorities)
    return context


def authorities_of(region: str, certificates: Path = CERTIFICATES) -> Iterator[Path]:
    """The PEM files that are trusted in a region: RDS's of this region only, and those of an operator."""
    if (of_rds := certificates / f"rds/{region}.pem").is_file():
        yield of_rds
    yield from sorted(certificates.glob("*.pem"))
