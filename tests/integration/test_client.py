"""The client: `stage`, `start`, `changes`. test_operations.py has its methods for the API."""

from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.stub import Stubber

from roadmap_content.client import http as client_http
from roadmap_content.client.client import Client
from roadmap_content.client.http import ApiRefusedError, ApiUnavailableError, HttpAnswer
from roadmap_content.contracts.errors import (
    ContentError,
    InvalidRequestError,
    MissingSettingError,
    RoadmapNotFoundError,
)
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.storage.keys import staged_key
from tests.support.factories import quiz
from tests.support.http_server import HttpServer, Reply, Request, json_reply
from tests.support.memory_s3 import MemoryS3
from tests.support.openapi import example

MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:save"


@pytest.fixture
def client() -> Client:
    return Client(api_url="http://api", token=str, user_id="u-1", state_machine_arn=MACHINE)


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
            state_machine_arn=MACHINE,
            api_url="http://127.0.0.1",
            token=str,
            stepfunctions=stepfunctions,
        )
        with pytest.raises(expected, match=f"{code}.*because"):
            client.start("t-1")


def test_content_of_an_unknown_type_or_roadmap_is_a_named_error() -> None:
    """One request for each roadmap; the content is staged before it is sent."""
    s3 = MemoryS3()
    s3.create_bucket(Bucket="content")
    asked: list[str] = []

    def tasks(request: Request) -> Reply:
        asked.append(request.query["q"][0])
        page = {"next_cursor": None, "total": 1, "total_is_exact": True}
        return json_reply(page | {"items": [example("TaskRow", roadmap_id="r-1")]})

    with HttpServer(tasks) as server:
        client = Client(api_url=server.url, token=str, user_id="u-1", bucket="content", s3=s3.client)
        client.stage("r-1", "c-1", "quiz", quiz("c-1"))
        client.stage("r-1", "c-2", "quiz", quiz("c-2"))
        with pytest.raises(InvalidRequestError, match="'poem' is not a content type; there are tutorial"):
            client.stage("r-1", "c-1", "poem", {})
        with pytest.raises(RoadmapNotFoundError, match="no task is for a roadmap 'r-'; the content"):
            client.stage("r-", "c-1", "quiz", quiz("c-1"))
        with pytest.raises(RoadmapNotFoundError):  # of an id that is longer than the API's `q`
            client.stage("r" * 300, "c-1", "quiz", quiz("c-1"))
    assert asked == ["r-1", "r-", "r" * 100]
    assert staged_key("r-", Item("c-1", ContentType.QUIZ)) in s3.saved()["content"]


@pytest.mark.parametrize("task_id", ["", "a b", "course:1", "x" * 65])
def test_an_id_that_no_execution_can_have_is_refused_before_the_start(client: Client, task_id: str) -> None:
    """The local cloud accepts such a name, AWS does not."""
    with pytest.raises(InvalidRequestError, match="1 to 64 letters, digits"):
        client.start(task_id)


def test_changes_are_followed_over_an_outage_and_each_is_read_once(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pauses are those that the API asks for."""

    def page(*cursors: str, status: str, more: bool, pause: int) -> HttpAnswer:
        items = [
            {"cursor": cursor, "id": cursor, "type": "Item Saved", "time": "2026-11-28T00:00:00Z", "data": {}}
            for cursor in cursors
        ]
        body = {"items": items, "next_cursor": None, "status": status, "more": more}
        return HttpAnswer(200, body, {"retry-after": str(pause)})

    answers: list[HttpAnswer | ApiUnavailableError] = [
        page("a", "b", status="processing", more=True, pause=0),
        ApiUnavailableError("503"),
        page(status="processing", more=False, pause=2),
        page("c", status="completed", more=False, pause=30),
    ]
    asked: list[str | None] = []
    pauses: list[float] = []

    def send(_method: str, url: str, _token: str, _body: bytes | None) -> HttpAnswer:
        asked.append(parse_qs(urlsplit(url).query).get("after", [None])[0])
        answer = answers.pop(0)
        if isinstance(answer, ApiUnavailableError):
            raise answer
        return answer

    monkeypatch.setattr(client_http, "send", send)
    monkeypatch.setattr(client_http, "sleep", pauses.append)
    monkeypatch.setattr("roadmap_content.client.client.time.sleep", pauses.append)
    assert [change.cursor for change in client.changes("t-1", "u-1")] == ["a", "b", "c"]
    assert asked == [None, "b", "b", "b"]
    assert pauses == [0, 0.5, 2]
