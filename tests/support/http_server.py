"""An HTTP server on 127.0.0.1 for tests. A function answers each request, and can break its answer off."""

import json
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import MappingProxyType
from typing import NamedTuple, Self
from urllib.parse import parse_qs, unquote, urlsplit

from local_stack.processes import HOST


class Request(NamedTuple):
    """A request."""

    method: str
    target: str
    """The path and the query, as they were sent."""

    headers: Message
    body: bytes

    @property
    def path(self) -> str:
        """Decoded, without the query."""
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, list[str]]:
        """The values of each parameter."""
        return parse_qs(urlsplit(self.target).query)


class Reply(NamedTuple):
    """A response. If `cut_after` is set, the connection is closed after so many bytes of the body.

    `Content-Length` is the length of the body, unless it is in `headers`.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = MappingProxyType({})
    cut_after: int | None = None


Answer = Callable[[Request], Reply | None]
"""Answers a request; `None` closes the connection."""


def json_reply(document: object, status: int = 200, **headers: str) -> Reply:
    """A response with a JSON document. In names of headers, `_` stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(document).encode(), {"Content-Type": "application/json"} | named)


class HttpServer:
    """Listens inside a `with` block, with a thread for each connection."""

    def __init__(self, answer: Answer) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Headers and body are two packets: otherwise the second waits until the first is acknowledged.
            disable_nagle_algorithm = True

            def respond(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                reply = answer(Request(self.command, self.path, self.headers, body))
                if reply is None or reply.cut_after is not None:
                    self.close_connection = True
                if reply is not None:
                    with suppress(ConnectionError):  # the client was killed, or its page closed
                        self._send(reply)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = respond  # noqa: N815 - names that http.server looks for

            def _send(self, reply: Reply) -> None:
                self.send_response_only(reply.status)
                length = {} if reply.status == 304 else {"Content-Length": str(len(reply.body))}
                for name, value in (length | {**reply.headers}).items():
                    self.send_header(name, value)
                self.end_headers()
                if reply.status != 304 and self.command != "HEAD":
                    self.wfile.write(reply.body[: reply.cut_after])

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    @property
    def url(self) -> str:
        """The server's URL, without a path."""
        return f"http://{HOST}:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
