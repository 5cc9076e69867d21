"""A relay forwards the data of both sides and the end of each side's stream."""

import socket
from collections.abc import Iterator
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest

from local_stack.processes import HOST, free_port
from local_stack.relay import relayed


class Counting(StreamRequestHandler):
    """A server that reads to the end and answers with the number of bytes."""

    def handle(self) -> None:
        self.wfile.write(str(len(self.rfile.read())).encode())


@pytest.fixture
def counting() -> Iterator[int]:
    with ThreadingTCPServer((HOST, 0), Counting) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def ask(port: int, question: bytes) -> bytes:
    with socket.create_connection((HOST, port), timeout=600) as connection:
        connection.sendall(question)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(1000), b""))


def test_a_request_and_its_response_are_relayed_completely(counting: int) -> None:
    port = free_port()
    with relayed((HOST, port), (HOST, counting)):
        assert [ask(port, b"x" * size) for size in (0, 1, 1_000_000)] == [b"0", b"1", b"1000000"]


def test_an_unreachable_server_ends_only_its_connection(counting: int) -> None:
    port = free_port()
    with relayed((HOST, port), (HOST, free_port())):
        assert ask(port, b"") == b""
    with relayed((HOST, port), (HOST, counting)):
        assert ask(port, b"abc") == b"3"


def test_an_address_that_is_not_local_is_refused() -> None:
    with pytest.raises(OSError, match="assign"), relayed(("192.0.2.1", free_port()), (HOST, 1)):
        pass
