"""A TCP proxy between one step and PostgreSQL. It receives each statement and can inject faults.

It parses the protocol only as far as needed: the statement that the client prepares, the SQLSTATE of an
error. A `Script` injects the faults; without a script everything is passed on.
"""

import re
import socket
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

from local_stack.processes import HOST

_PRODUCT = re.compile(rb"roadmap_|content_|_metadata")
_SQLSTATE = re.compile(rb"\x00C([0-9A-Z]{5})\x00")
_STARTUP, _PARSE, _QUERY, _ERROR = b"", b"P", b"Q", b"E"


class Session:
    """One connection of a step to the database."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self._client, self._server = client, server

    def cut(self) -> None:
        """Close the connection on both sides."""
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Script:
    """Hooks for the events of a connection. This base class does nothing. Called by several threads."""

    def on_connect(self) -> bool:
        """Return whether to accept a connection."""
        return True

    def on_statement(self, session: Session) -> None:
        """A statement on the product's tables is about to be sent to the server."""

    def on_error(self, sqlstate: str) -> None:
        """The server has answered with an error."""


class DatabaseProxy:
    """Listens on a port of 127.0.0.1 in front of a server."""

    def __init__(self, server_port: int, limits: Mapping[str, str]) -> None:
        self.limits = dict(limits)
        """The limits of a session, instead of those that the client sets at connect time."""

        self.errors: list[str] = []
        """The SQLSTATE of every error from the server since the script was set."""

        self._server_port = server_port
        self._script = Script()
        self._sessions: set[Session] = set()
        self._lock = threading.Lock()
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def play(self, script: Script | None = None) -> None:
        """Use a script; without one, pass everything on again."""
        with self._lock:
            self.errors.clear()
            self._script = script or Script()

    def cut_all(self) -> None:
        with self._lock:
            sessions = list(self._sessions)
        for session in sessions:
            session.cut()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._script.on_connect():
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()
            else:
                client.close()

    def _serve(self, client: socket.socket) -> None:
        server = socket.create_connection((HOST, self._server_port))
        with client, server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            session = Session(client, server)
            with self._lock:
                self._sessions.add(session)
            back = threading.Thread(target=self._answer, args=(session, server, client), daemon=True)
            back.start()
            with suppress(OSError, EOFError):
                self._ask(session, client, server)
            session.cut()
            back.join()
            with self._lock:
                self._sessions.discard(session)

    def _ask(self, session: Session, client: socket.socket, server: socket.socket) -> None:
        startup = _read_message(client, _STARTUP)
        server.sendall(self._limited(startup))
        while True:
            kind = _read_exactly(client, 1)
            message = _read_message(client, kind)
            if kind in (_PARSE, _QUERY) and _PRODUCT.search(message):
                self._script.on_statement(session)
            server.sendall(message)

    def _answer(self, session: Session, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError, EOFError):
            while True:
                kind = _read_exactly(server, 1)
                message = _read_message(server, kind)
                if kind == _ERROR and (found := _SQLSTATE.search(message)):
                    self.errors.append(found[1].decode())
                    self._script.on_error(self.errors[-1])
                client.sendall(message)
        session.cut()

    def _limited(self, startup: bytes) -> bytes:
        body = startup[4:]
        for name, value in self.limits.items():
            given = rf"--{name}=(?:\\ |[^ \0])+".encode()
            limit = f"--{name}={value}".replace(" ", r"\\ ").encode()  # escaped for `subn`, too
            body, found = re.subn(given, limit, body)
            if not found:
                raise ValueError(f"a client that does not set {name}")
        return struct.pack("!i", len(body) + 4) + body


def _read_message(connection: socket.socket, kind: bytes) -> bytes:
    """Read one message of the protocol: kind (the first one of a connection has none), length, body."""
    length = _read_exactly(connection, 4)
    return kind + length + _read_exactly(connection, struct.unpack("!i", length)[0] - 4)


def _read_exactly(connection: socket.socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)
