"""A relay through which containers reach servers that listen on 127.0.0.1 only, at their bridge."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import BaseRequestHandler, ThreadingTCPServer
from threading import Thread

Address = tuple[str, int]

_CHUNK = 65_536


class _Relay(ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False  # an open connection of a container must not block the exit

    def __init__(self, listening: Address, target: Address) -> None:
        super().__init__(listening, _Connection)
        self.target = target


class _Connection(BaseRequestHandler):
    request: socket.socket
    server: _Relay

    def handle(self) -> None:
        try:
            target = socket.create_connection(self.server.target)
        except ConnectionRefusedError:
            return  # the client's connection is closed as well
        with target:
            back = Thread(target=_copy, args=(target, self.request), daemon=True)
            back.start()
            _copy(self.request, target)
            back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    """Copy until the source ends; then close the sink for writing, which may still respond."""
    try:
        while chunk := source.recv(_CHUNK):
            sink.sendall(chunk)
        sink.shutdown(socket.SHUT_WR)
    except OSError:  # one end is closed, so the other closes as well
        sink.close()


@contextmanager
def relayed(listening: Address, target: Address) -> Iterator[None]:
    """Relay connections to `listening` to `target`.

    Raises:
        OSError: `listening` is not a local address, or it is in use.
    """
    with _Relay(listening, target) as relay:
        serving = Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        serving.start()
        try:
            yield
        finally:
            relay.shutdown()
            serving.join()
