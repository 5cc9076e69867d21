"""A Lambda endpoint with one function, the content check: `Invoke`, emulated from documentation."""

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self

from local_stack.processes import HOST


class Answer(NamedTuple):
    """The answer to an invocation."""

    body: Any
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


Check = Callable[[list[Any]], Answer | None]
"""Answers about items; `None` closes the connection."""


def accept(items: list[Any]) -> Answer | None:
    """Every item may be saved."""
    return Answer({"verdicts": [{"verdict": "accept"}] * len(items)})


class CheckServer:
    """Listens on a port of 127.0.0.1. `check` may be changed at any time."""

    def __init__(self) -> None:
        self.check: Check = accept
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                """Answer one invocation."""
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                answer = server.check(document["items"])
                if answer is None:
                    return
                body = json.dumps(answer.body).encode()
                with suppress(ConnectionError):
                    self.send_response(answer.status)
                    for name, value in (*answer.headers, ("Content-Length", str(len(body)))):
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://{HOST}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
