"""An HTTP proxy in front of a service of the local cloud. A script answers requests or passes them on."""

import http.client
from collections.abc import Callable
from functools import partial
from urllib.parse import urlsplit

from local_stack.processes import HOST
from tests.support.http_server import HttpServer, Reply, Request

Forward = Callable[[], Reply]
"""Passes a request on to the service and returns its response. May be called repeatedly."""

Script = Callable[[Request, Forward], Reply | None]
"""Answers a request. `None` closes the connection."""


def pass_on(_request: Request, forward: Forward) -> Reply | None:
    """The script without a fault."""
    return forward()


class HttpProxy(HttpServer):
    """Listens on a port of 127.0.0.1 in front of a service."""

    def __init__(self, url: str) -> None:
        self.requests: list[Request] = []
        """Every request so far."""

        self.script: Script = pass_on
        self._upstream = urlsplit(url)
        super().__init__(self._answer)

    def play(self, script: Script | None = None) -> None:
        """Use a script; without one, pass everything on again."""
        self.script = script or pass_on

    def _answer(self, request: Request) -> Reply | None:
        self.requests.append(request)
        return self.script(request, partial(self._forward, request))

    def _forward(self, request: Request) -> Reply:
        headers = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in ("expect", "connection")
        }
        host, port = self._upstream.hostname or HOST, self._upstream.port
        connection = http.client.HTTPConnection(host, port, timeout=600)
        try:
            connection.request(request.method, self._upstream.path + request.target, request.body, headers)
            answer = connection.getresponse()
            kept = {name.title(): value for name, value in answer.getheaders()}
            kept.pop("Transfer-Encoding", None)
            kept.pop("Connection", None)
            return Reply(answer.status, answer.read(), kept)
        finally:
            connection.close()
