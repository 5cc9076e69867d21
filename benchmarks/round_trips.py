"""A TCP proxy in front of PostgreSQL that counts round trips, for any driver of the client.

A round trip is a change of direction: the client sends after the server has answered.
"""

import socket
import threading
from collections.abc import Callable
from typing import Self

_HOST = "127.0.0.1"
_CHUNK = 1 << 16


class RoundTrips:
    """A running proxy. `count` is the number of round trips of all connections so far."""

    def __init__(self, host: str, port: int) -> None:
        self._server = host, port
        self._listener = socket.create_server((_HOST, 0))
        self._lock = threading.Lock()
        self.count = 0

    @property
    def port(self) -> int:
        """The port for clients."""
        port: int = self._listener.getsockname()[1]
        return port

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._server) as server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answered = threading.Event()
            answered.set()

            def forward_answers() -> None:
                _forward(server, client, answered.set)

            def count() -> None:
                if answered.is_set():
                    answered.clear()
                    with self._lock:
                        self.count += 1

            thread = threading.Thread(target=forward_answers, daemon=True)
            thread.start()
            _forward(client, server, count)
            thread.join()


def _forward(source: socket.socket, target: socket.socket, on_data: Callable[[], None]) -> None:
    """Copy bytes until the source ends; then end the target."""
    try:
        while data := source.recv(_CHUNK):
            on_data()
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:  # one side is closed
        for end in (source, target):
            end.close()
