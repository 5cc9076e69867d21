"""The product's client sends the requests of the API's contract, and reads its answers."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.stub import Stubber

from roadmap_content import client as client_module
from roadmap_content.client import ApiRefusedError, ApiUnavailableError, Client
from roadmap_content.errors import ContentError, InvalidRequestError, MissingSettingError
from tests.support.factories import counts

PREVIEW = {
    "dry_run": True,
    "task_id": "t-1",
    "staged": counts(tutorial=1),
    "to_generate": counts(quiz=2),
    "total_items": 3,
    "estimated_tokens": None,
    "estimate_basis": "none",
}
STARTED = {
    "success": True,
    "recovery_type": "content_retry",
    "task_id": "t-1",
    "roadmap_id": "r-1",
    "status": "processing",
    "items_to_retry": counts(tutorial=1, quiz=2),
    "total_items": 3,
    "attempt": 2,
    "execution_arn": "arn:aws:states:us-east-1:000000000000:execution:save:t-1-r2",
    "message": "Attempt started for the missing items",
}


class Api(BaseHTTPRequestHandler):
    """Answers a retry as the API does, and keeps each query."""

    queries: list[dict[str, list[str]]]

    def do_POST(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self.queries.append(query)
        preview = query.get("dry_run") == ["true"]
        body = json.dumps(PREVIEW if preview else STARTED).encode()
        self.send_response(200 if preview else 202)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""


@pytest.fixture
def client() -> Iterator[Client]:
    Api.queries = []
    with HTTPServer(("127.0.0.1", 0), Api) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield Client(
            bucket="content",
            state_machine_arn="arn:aws:states:us-east-1:000000000000:stateMachine:save",
            api_url=f"http://127.0.0.1:{server.server_port}",
            token=lambda user_id: f"token of {user_id}",
        )
        server.shutdown()


def test_a_preview_of_a_retry_starts_nothing_and_is_read(client: Client) -> None:
    preview = client.preview_retry("t-1", "u-1", content_type="quiz", regenerate=True)
    assert (preview.total_items, sum(preview.to_generate.values())) == (3, 2)
    assert Api.queries == [
        {"user_id": ["u-1"], "content_type": ["quiz"], "regenerate": ["true"], "dry_run": ["true"]}
    ]


def test_a_retry_sends_the_parameters_of_the_endpoint(client: Client) -> None:
    answer = client.retry("t-1", "u-1", concept_id="c 1", take_over=True, reason="because")
    assert (answer.attempt, answer.total_items) == (2, 3)
    assert Api.queries == [
        {"user_id": ["u-1"], "concept_id": ["c 1"], "take_over": ["true"], "reason": ["because"]}
    ]


def test_a_setting_that_is_not_set_is_named_with_the_command_that_sets_it() -> None:
    with pytest.raises(MissingSettingError, match=r'ROADMAP_BUCKET is not set.*eval "\$\(roadmap env\)"'):
        Client.from_environment(token=str, environ={})


@pytest.mark.parametrize(
    ("code", "status", "expected"),
    [
        ("AccessDeniedException", 400, ApiRefusedError),
        ("StateMachineDoesNotExist", 400, ApiRefusedError),
        ("ThrottlingException", 400, ApiUnavailableError),
        ("ExecutionLimitExceeded", 400, ApiUnavailableError),
        ("InternalServerError", 500, ApiUnavailableError),
    ],
)
def test_a_refused_start_is_not_reported_as_worth_repeating(
    code: str, status: int, expected: type[ContentError]
) -> None:
    stepfunctions = boto3.client(
        "stepfunctions", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(stepfunctions) as stub:
        stub.add_client_error("start_execution", code, "because", status)
        client = Client(
            bucket="content",
            state_machine_arn="arn:aws:states:us-east-1:000000000000:stateMachine:save",
            api_url="http://127.0.0.1",
            token=str,
            stepfunctions=stepfunctions,
        )
        with pytest.raises(expected, match=f"{code}.*because"):
            client.start("t-1")


@pytest.mark.parametrize("task_id", ["", "a b", "course:1", "x" * 65])
def test_an_id_that_no_execution_can_have_is_refused_before_the_start(client: Client, task_id: str) -> None:
    """The local cloud accepts such a name, AWS does not."""
    with pytest.raises(InvalidRequestError, match="1 to 64 letters, digits"):
        client.start(task_id)


def test_changes_are_followed_over_an_outage_and_each_is_read_once(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pauses are those that the API asks for."""

    def page(*cursors: str, status: str, more: bool, pause: int) -> client_module.HttpAnswer:
        items = [
            {"cursor": cursor, "id": cursor, "type": "Item Saved", "time": "2026-11-28T00:00:00Z", "data": {}}
            for cursor in cursors
        ]
        body = {"items": items, "next_cursor": None, "status": status, "more": more}
        return client_module.HttpAnswer(200, body, {"retry-after": str(pause)})

    answers: list[client_module.HttpAnswer | ApiUnavailableError] = [
        page("a", "b", status="processing", more=True, pause=0),
        ApiUnavailableError("503"),
        page(status="processing", more=False, pause=2),
        page("c", status="completed", more=False, pause=30),
    ]
    asked: list[str | None] = []
    pauses: list[float] = []

    def send(_method: str, url: str, _token: str, _body: bytes | None) -> client_module.HttpAnswer:
        asked.append(parse_qs(urlsplit(url).query).get("after", [None])[0])
        answer = answers.pop(0)
        if isinstance(answer, ApiUnavailableError):
            raise answer
        return answer

    monkeypatch.setattr(client_module, "send", send)
    monkeypatch.setattr("roadmap_content.client.time.sleep", pauses.append)
    assert [change.cursor for change in client.changes("t-1", "u-1")] == ["a", "b", "c"]
    assert asked == [None, "b", "b", "b"]
    assert pauses == [0, client_module.UNAVAILABLE_SECONDS, 2]


def test_an_answer_that_breaks_off_counts_as_no_answer() -> None:
    class BreaksOff(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b'{"items": [')

        def log_message(self, *_: Any) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), BreaksOff) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/api/v1/tasks/t-1"
        with pytest.raises(ApiUnavailableError, match="IncompleteRead"):
            client_module.send("GET", url, "token")
        server.shutdown()
