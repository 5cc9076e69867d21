"""A small S3 for counting the requests of its clients: it answers from memory, and checks no signature."""

import threading
from typing import Self
from xml.sax.saxutils import escape

from tests.support.http_server import HttpServer, Reply, Request

_PAGE = 1_000
_HEADERS = {"ETag": '"1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}


class ObjectServer:
    """A running server."""

    def __init__(self) -> None:
        self.requests = 0
        self.writes = 0
        """The number of requests that are priced as a PUT: those that write or list."""
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self._server = HttpServer(self._answer)

    @property
    def url(self) -> str:
        """The endpoint."""
        return self._server.url

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.__exit__(*error)

    def _answer(self, request: Request) -> Reply:
        lists, puts = "list-type" in request.query, request.method == "PUT"
        with self._lock:
            self.requests += 1
            self.writes += lists or puts
            if lists:
                return self._listing(request)
            body = self._objects.get(request.path)
            if puts:
                if body is not None and request.headers.get("If-None-Match") == "*":
                    return _error(412, "PreconditionFailed")
                self._objects[request.path] = request.body
                return Reply(headers=_HEADERS)
        if body is None:
            return _error(404, "NoSuchKey")
        if (part := request.headers.get("Range")) is not None:
            first, last = part.removeprefix("bytes=").split("-")
            return Reply(206, body[int(first) : int(last) + 1], _HEADERS)
        return Reply(200, body, _HEADERS)

    def _listing(self, request: Request) -> Reply:
        prefix, after = request.query.get("prefix", [""])[0], request.query.get("start-after", [""])[0]
        start = f"/{request.path.strip('/')}/"
        keys = sorted(key.removeprefix(start) for key in self._objects if key.startswith(start))
        found = [key for key in keys if key.startswith(prefix) and key > after]
        entries = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self._objects[start + key])}</Size>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
            for key in found[:_PAGE]
        )
        truncated = f"<IsTruncated>{str(len(found) > _PAGE).lower()}</IsTruncated>"
        body = f"<ListBucketResult>{truncated}{entries}</ListBucketResult>".encode()
        return Reply(200, body, {"Content-Type": "application/xml"})


def _error(status: int, code: str) -> Reply:
    return Reply(status, f"<Error><Code>{code}</Code></Error>".encode(), {"Content-Type": "application/xml"})
