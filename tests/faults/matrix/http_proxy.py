"""An HTTP proxy between one step and a service of the local cloud. A script answers requests or passes them
on.
"""

import http.client
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple, Self
from urllib.parse import unquote, urlsplit

from local_stack.processes import HOST


class Request(NamedTuple):
    """A request from the step."""

    method: str
    path: str
    """Decoded, without the query."""

    target: str
    """The operation, for a service that names it in a header."""

    client_port: int


class Reply(NamedTuple):
    """A response. If `cut_after` is set, the connection is closed after so many bytes of the body."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    cut_after: int | None = None


Forward = Callable[[], Reply]
"""Passes a request on to the service and returns its response. May be called repeatedly."""

Script = Callable[[Request, Forward], Reply | None]
"""Answers a request. `None` closes the connection."""


def pass_on(_request: Request, forward: Forward) -> Reply | None:
    """The script without a fault."""
    return forward()


class HttpProxy:
    """Listens on a port of 127.0.0.1 in front of a service."""

    def __init__(self, url: str) -> None:
        self.requests: list[Request] = []
        """Every request so far."""

        self.script: Script = pass_on
        self._upstream = urlsplit(url)
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body are two packets: otherwise the second waits until the first is acknowledged.
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                proxy._handle(self)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any  # noqa: N815 - names that http.server looks for

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                """Log nothing."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{HOST}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def play(self, script: Script | None = None) -> None:
        """Use a script; without one, pass everything on again."""
        self.script = script or pass_on

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        path = unquote(urlsplit(handler.path).path)
        target = handler.headers.get("X-Amz-Target", "").rpartition(".")[2]
        request = Request(handler.command, path, target, handler.client_address[1])
        self.requests.append(request)
        headers = {
            name: value
            for name, value in handler.headers.items()
            if name.lower() not in ("expect", "connection")
        }
        reply = self.script(request, partial(self._forward, handler.command, handler.path, headers, body))
        handler.close_connection = reply is None or reply.cut_after is not None
        if reply is None:
            return
        with suppress(ConnectionError):
            handler.send_response_only(reply.status)
            for name, value in reply.headers:
                handler.send_header(name, value)
            if not any(name.lower() == "content-length" for name, _ in reply.headers):
                handler.send_header("Content-Length", str(len(reply.body)))
            handler.end_headers()
            if handler.command != "HEAD":
                handler.wfile.write(reply.body[: reply.cut_after])

    def _forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Reply:
        host, port = self._upstream.hostname or HOST, self._upstream.port
        connection = http.client.HTTPConnection(host, port, timeout=600)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            kept = tuple(
                (name, value)
                for name, value in answer.getheaders()
                if name.lower() not in ("transfer-encoding", "connection")
                and (name.lower() != "content-length" or method == "HEAD")
            )
            return Reply(answer.status, answer.read(), kept)
        finally:
            connection.close()
