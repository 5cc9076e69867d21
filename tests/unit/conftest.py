"""Fixtures of the tests of commands."""

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from typer.testing import CliRunner, Result

from roadmap_command.main import app
from roadmap_command.target import Target
from roadmap_content import Client
from roadmap_content.client import http as client_http
from roadmap_content.client.http import HttpAnswer

Roadmap = Callable[..., Result]


class Sent(NamedTuple):
    """A request of a command."""

    method: str
    path: str
    document: Any
    query: dict[str, Any]


class Api:
    """Answers each request with the next document, and all further ones with the last."""

    def __init__(self, *documents: Any, status: int = 200) -> None:
        self._documents = documents
        self._status = status
        self.sent: list[Sent] = []

    def send(self, method: str, path: str, document: Any = None, **query: Any) -> HttpAnswer:
        self.sent.append(Sent(method, path, document, query))
        place = min(len(self.sent), len(self._documents)) - 1
        return HttpAnswer(self._status, self._documents[place])


def stand_in(api: Any, set_attribute: Callable[[Any, str, Any], None]) -> None:
    """Lead the requests of the commands to `api.send(method, path, document, **query)`."""

    def send(method: str, url: str, _token: str, body: bytes | None) -> HttpAnswer:
        parts = urlsplit(url)
        query = {
            name: several if several[1:] else several[0] for name, several in parse_qs(parts.query).items()
        }
        document = None if body is None else json.loads(body)
        answer: HttpAnswer = api.send(method, parts.path.removeprefix("/api/v1"), document, **query)
        return answer

    client = Client(api_url="http://api", token=str, user_id="operator", resend_seconds=20)
    set_attribute(client_http, "send", send)
    target = SimpleNamespace(client=lambda *_, **__: client, model_failures="")
    set_attribute(Target, "named", lambda *_: target)


@pytest.fixture
def roadmap(monkeypatch: pytest.MonkeyPatch) -> Roadmap:
    """Runs a command with an API in place of a stack's."""

    def run(api: Any, *arguments: str) -> Result:
        stand_in(api, monkeypatch.setattr)
        return CliRunner().invoke(app, arguments, catch_exceptions=False)

    return run
