"""Requests while the API refuses them at its limit, or does not respond."""

import json
import re
import socket
from collections.abc import Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from local_stack.builds import REPOSITORY
from roadmap_command.commands import recoveries
from roadmap_command.main import app
from roadmap_content.client import client
from roadmap_content.client import http as client_http
from roadmap_content.client.client import Client
from roadmap_content.client.http import ApiRefusedError, ApiUnavailableError, HttpAnswer, HttpApi
from roadmap_content.contracts.errors import InvalidRequestError
from roadmap_content.contracts.states import TaskResult
from tests.support.http_server import HttpServer, Reply
from tests.support.openapi import example
from tests.unit.conftest import stand_in

RESEND_SECONDS = 20.0
TOO_MANY = HttpAnswer(429, {"message": "Too Many Requests"})
DOWN = HttpAnswer(503, {"message": "Service Unavailable"})
OK = HttpAnswer(200, {"status": "completed"})
LOST = ApiUnavailableError("connection reset")


class Api:
    """Answers with each response in turn; the last one is repeated."""

    def __init__(self, *answers: HttpAnswer | BaseException) -> None:
        self._answers = list(answers)
        self.requests: list[str] = []

    def send(self, method: str, path: str, *_: object, **__: object) -> HttpAnswer:
        self.requests.append(f"{method} {path}")
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between requests, on a clock that only they advance."""
    paused: list[float] = []
    monkeypatch.setattr(client_http, "sleep", paused.append)
    monkeypatch.setattr(client_http, "monotonic", lambda: sum(paused))
    return paused


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Sends a request to an API; the body of the answer."""

    def ask(api: Api, method: str, path: str) -> Any:
        monkeypatch.setattr(client_http, "send", api.send)
        return HttpApi("", str, "operator", RESEND_SECONDS).request(method, path).body

    return ask


Ask = Callable[..., Any]


@pytest.mark.parametrize("refusal", [TOO_MANY, DOWN, LOST], ids=["429", "503", "no response"])
def test_a_request_that_reads_is_sent_again_with_growing_pauses(
    refusal: HttpAnswer | Exception, ask: Ask, pauses: list[float]
) -> None:
    api = Api(refusal, refusal, refusal, OK)
    assert ask(api, "GET", "/tasks/t-1") == OK.body
    assert len(api.requests) == 4
    assert pauses == sorted(pauses)
    assert len(pauses) == 3


def test_a_request_that_changes_data_is_sent_again_only_where_it_was_not_executed(
    ask: Ask, pauses: list[float]
) -> None:
    assert ask(Api(TOO_MANY, OK), "POST", "/tasks/t-1/retry") == OK.body
    for unknown in (DOWN, LOST):
        api = Api(unknown, OK)
        with pytest.raises(ApiUnavailableError):
            ask(api, "POST", "/tasks/t-1/retry")
        assert len(api.requests) == 1


def test_an_error_without_a_message_has_its_status(ask: Ask) -> None:
    """Regression: "HttpError: None", while the disk of the local cloud was full."""
    with pytest.raises(ApiUnavailableError, match="500 HttpError: status 500 without a message"):
        ask(Api(HttpAnswer(500, {"message": None})), "POST", "/tasks/t-1/retry")


ONLY_ONCE = {
    "retry_task": "a regeneration would be paid for twice",
    "create_recovery": "two recoveries pay twice",
    "resume_recovery": "the breaker may have paused it again in between",
    "restore_revision": "a tutorial would get another version",
}
"""The requests that are not sent again, and why."""


def test_for_each_request_with_an_effect_it_is_decided_whether_it_is_sent_again() -> None:
    paths = json.loads((REPOSITORY / "docs/openapi.json").read_text())["paths"]
    changing = {
        operation["operationId"]: f"{method.upper()} {re.sub('{.*?}', 'an-id', path.removeprefix('/api/v1'))}"
        for path, methods in paths.items()
        for method, operation in methods.items()
        if method != "get"
    }
    repeated = {
        name
        for name, request in changing.items()
        if any(re.fullmatch(pattern, request) for pattern in client_http.REPEATABLE)
    }
    assert repeated.isdisjoint(ONLY_ONCE)
    assert repeated | ONLY_ONCE.keys() == changing.keys()
    assert len(repeated) >= len(client_http.REPEATABLE)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_the_stop_switch_is_sent_again_while_its_function_wakes_up(
    status: int, ask: Ask, pauses: list[float]
) -> None:
    assert ask(Api(HttpAnswer(status, "asleep"), OK), "PUT", "/capacity") == OK.body


def test_an_api_that_stays_away_is_an_external_failure_in_the_end(ask: Ask, pauses: list[float]) -> None:
    with pytest.raises(ApiUnavailableError, match="429 HttpError: Too Many Requests"):
        ask(Api(TOO_MANY), "GET", "/tasks")
    assert RESEND_SECONDS / 2 < sum(pauses) <= RESEND_SECONDS


def test_a_refused_request_is_not_sent_again(ask: Ask, pauses: list[float]) -> None:
    api = Api(HttpAnswer(404, {"error": "TaskNotFound", "message": "there is no such task"}), OK)
    with pytest.raises(ApiRefusedError, match="404 TaskNotFound: there is no such task"):
        ask(api, "GET", "/tasks/t-1")
    assert (len(api.requests), pauses) == (1, [])


def test_an_answer_that_breaks_off_counts_as_no_answer() -> None:
    reply = Reply(body=b'{"items": [', headers={"Content-Length": "100"}, cut_after=11)
    with HttpServer(lambda _: reply) as server, pytest.raises(ApiUnavailableError, match="IncompleteRead"):
        client_http.send("GET", f"{server.url}/api/v1/tasks/t-1", "token")


@pytest.mark.parametrize(
    "page",
    [b"<html>\xe9</html>", b"", b"[1]", b'{"message": "hello"}', b"[" * 100_000],
    ids=["HTML", "nothing", "a list", "another document", "too deep"],
)
def test_a_page_that_is_not_the_api_s_is_no_answer(page: bytes, pauses: list[float]) -> None:
    """A proxy, a captive portal or another service may answer with 200."""
    with HttpServer(lambda _: Reply(body=page)) as server:
        client = Client(api_url=server.url, token=str, user_id="u-1")
        for request in (client.me, client.capacity, lambda: next(client.tasks())):
            with pytest.raises(ApiUnavailableError, match="not the API's"):
                request()


def test_changes_of_an_address_where_nothing_listens_raise_within_a_minute(pauses: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    nobody = Client(api_url=f"http://127.0.0.1:{port}", token=str, user_id="u-1")
    with pytest.raises(ApiUnavailableError, match="refused"):
        nobody.status("t-1")
    assert pauses == []
    with pytest.raises(ApiUnavailableError, match="refused"):
        next(nobody.changes("t-1"))
    assert 30 < sum(pauses) <= client.UNAVAILABLE_SECONDS


def test_a_token_that_is_no_function_is_refused_at_once() -> None:
    with pytest.raises(TypeError, match="token is a function that returns a user's token, not str"):
        Client.from_environment(
            token="x",  # type: ignore[arg-type]
            environ=dict.fromkeys((client.BUCKET, client.STATE_MACHINE_ARN, client.API_URL), "x"),
        )


def test_a_request_without_a_user_is_refused_before_it_is_sent() -> None:
    with pytest.raises(InvalidRequestError, match="needs a user"):
        Client(api_url="http://api", token=str).status("t-1")


@pytest.mark.parametrize("request_of", [Client.retry, Client.preview_retry])
def test_a_revision_that_a_retry_names_is_sent_also_without_an_instruction(
    request_of: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API refuses it. Without it, any content would be replaced."""
    sent: list[bytes | None] = []

    def send(_method: str, _url: str, _token: str, body: bytes | None) -> HttpAnswer:
        sent.append(body)
        return HttpAnswer(422, {"error": "InvalidRequest", "message": "add an instruction"})

    monkeypatch.setattr(client_http, "send", send)
    with pytest.raises(ApiRefusedError):
        request_of(Client(api_url="", token=str), "t-1", "u-1", regenerate=True, revision="r-1")
    assert sent == [b'{"revision": "r-1"}']


@pytest.mark.parametrize("ended", [LOST, KeyboardInterrupt()], ids=["no response", "Ctrl-C"])
def test_a_recovery_that_is_not_followed_to_its_end_says_that_it_continues(
    ended: HttpAnswer | BaseException,
    pauses: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = dict.fromkeys(("total", *TaskResult), 1)
    running = example("RecoveryAnswer", recovery_id="r-1", state="running", ended_at=None, counts=counts)
    api = Api(HttpAnswer(200, example("RecoveryPreview")), HttpAnswer(201, running), ended)
    stand_in(api, monkeypatch.setattr)
    monkeypatch.setattr(recoveries, "POLL_SECONDS", 0)
    result = CliRunner().invoke(app, ["heal", "--reason", "an outage", "--yes"])
    assert "continues without this command" in result.stderr
    assert "recoveries r-1" in result.stderr
    assert result.exit_code != 0
