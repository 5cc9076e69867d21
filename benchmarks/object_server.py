"""A small S3 in a separate process, for measuring its clients.

It answers from memory, checks no signature and counts the requests.
"""

import multiprocessing
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.queues import Queue
from multiprocessing.sharedctypes import Synchronized
from typing import Self
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

HOST = "127.0.0.1"
_PAGE = 1_000
_MODIFIED = "2026-01-01T00:00:00.000Z"


class ObjectServer:
    """A running server."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.requests: Synchronized[int] = context.Value("i", 0)
        self.writes: Synchronized[int] = context.Value("i", 0)
        """The number of requests that are priced as a PUT: those that write or list."""
        port: Queue[int] = context.Queue()
        self._process = context.Process(target=_serve, args=(port, self.requests, self.writes), daemon=True)
        self._process.start()
        self.url = f"http://{HOST}:{port.get(timeout=60)}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()


def _serve(port: "Queue[int]", requests: "Synchronized[int]", writes: "Synchronized[int]") -> None:
    objects: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            """Read an object or a part of it, or list."""
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            self._count(write="list-type" in query)
            if "list-type" in query:
                self._answer(200, _listing(objects, parts.path.strip("/"), query), "application/xml")
                return
            body = objects.get(unquote(parts.path))
            if body is None:
                self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>", "application/xml")
            elif "Range" in self.headers:
                first, last = self.headers["Range"].removeprefix("bytes=").split("-")
                self._answer(206, body[int(first) : int(last) + 1])
            else:
                self._answer(200, body)

        do_HEAD = do_GET  # noqa: N815 - the base class's names

        def do_PUT(self) -> None:
            """Store an object."""
            self._count(write=True)
            key, body = unquote(urlsplit(self.path).path), self._body()
            objects[key] = body
            self._answer(200, b"")

        def _count(self, *, write: bool) -> None:
            with requests.get_lock():
                requests.value += 1
                writes.value += write

        def _body(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))

        def _answer(self, status: int, body: bytes, kind: str = "application/octet-stream") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", '"1"')
            self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer((HOST, 0), Handler)
    port.put(server.server_port)
    server.serve_forever()


def _listing(objects: Mapping[str, bytes], bucket: str, query: Mapping[str, list[str]]) -> bytes:
    prefix, after = query.get("prefix", [""])[0], query.get("start-after", [""])[0]
    start = f"/{bucket}/"
    keys = sorted(key.removeprefix(start) for key in list(objects) if key.startswith(start))
    found = [key for key in keys if key.startswith(prefix) and key > after]
    entries = "".join(
        f"<Contents><Key>{escape(key)}</Key><Size>{len(objects[start + key])}</Size>"
        f"<LastModified>{_MODIFIED}</LastModified></Contents>"
        for key in found[:_PAGE]
    )
    truncated = str(len(found) > _PAGE).lower()
    return f"<ListBucketResult><IsTruncated>{truncated}</IsTruncated>{entries}</ListBucketResult>".encode()
