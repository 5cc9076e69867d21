"""The product's client has every operation: it sends the documented request, and reads the answer."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.stub import Stubber

from roadmap_content.api import client_http
from roadmap_content.api.client import ApiRefusedError, ApiUnavailableError, Client
from roadmap_content.api.client_http import HttpAnswer
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
from tests.support.openapi import DOCUMENT, example, resolved, value_of

OPERATIONS = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}

MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:save"
ITEM = ("t-1", "u-1", "c 1", "quiz")
CALLS: Mapping[str, Callable[[Client], Any]] = {
    "get_me": lambda client: client.me("u-1"),
    "list_tasks": lambda client: next(client.tasks("u-1", status=["failed", "cancelled"], user_id="u-2")),
    "get_task": lambda client: client.status("t-1", "u-1"),
    "list_items": lambda client: next(client.items("t-1", "u-1", states_only=True)),
    "get_item": lambda client: client.item(*ITEM),
    "get_content": lambda client: client.content(*ITEM, revision_id="archive-1"),
    "list_revisions": lambda client: client.revisions(*ITEM)[0],
    "restore_revision": lambda client: client.restore(*ITEM, "archive-1", reason="r"),
    "list_changes": lambda client: next(client.changes("t-1", "u-1", after="x")),
    "list_attempts": lambda client: next(client.attempts("t-1", "u-1")),
    "list_failures": lambda client: next(client.failures("u-1", group_id="g")),
    "get_failure_group": lambda client: client.failure_group("1f0c6c8e2f3a4b5d"),
    "change_failure_group": lambda client: client.change_failure_group(
        "1f0c6c8e2f3a4b5d", "ignored", "n", until_tasks=5
    ),
    "get_health": lambda client: client.health("u-1"),
    "count_origins": lambda client: client.origins("u-1"),
    "retry_task": lambda client: client.retry(
        "t-1", "u-1", concept_id="c 1", regenerate=True, force_checkpoint=True, take_over=True, reason="r"
    ),
    "cancel_task": lambda client: client.cancel("t-1", "u-1", reason="r"),
    "list_recoveries": lambda client: next(client.recoveries()),
    "create_recovery": lambda client: client.create_recovery({"q": "t"}, "r", canary=3),
    "get_recovery": lambda client: client.recovery("rec-1"),
    "list_recovery_tasks": lambda client: next(client.recovery_tasks("rec-1", result="waiting")),
    "pause_recovery": lambda client: client.pause_recovery("rec-1"),
    "resume_recovery": lambda client: client.resume_recovery("rec-1"),
    "cancel_recovery": lambda client: client.cancel_recovery("rec-1"),
    "undo_recovery": lambda client: client.undo_recovery("rec-1"),
    "get_capacity": lambda client: client.capacity("u-1"),
    "change_capacity": lambda client: client.change_capacity("r", slots=2),
}


class DocumentedApi:
    """Answers each request with the example of its operation, or of its preview, and keeps the requests."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, list[str]], Any]] = []

    def answer(self, request: Request) -> Reply:
        """Find the operation of the request, and send a valid answer."""
        path = urlsplit(request.target).path
        found = [
            (name, operation)
            for name, (method, template, operation) in OPERATIONS.items()
            if method == request.method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
        ]
        ((name, operation),) = found
        body = json.loads(request.body) if request.body else None
        self.asked.append((name, request.query, body))
        preview = "dry_run" in request.query or "dry_run" in (body or {})
        statuses = sorted(status for status in operation["responses"] if status.startswith("2"))
        status = statuses[0 if preview else -1]
        schema = operation["responses"][status]["content"]["application/json"]["schema"]
        model = schema.get("anyOf", [schema])[-1]["$ref"].rpartition("/")[2]
        return json_reply(value_of(DOCUMENT, DOCUMENT["components"]["schemas"][model]), int(status))


@pytest.fixture
def api() -> DocumentedApi:
    return DocumentedApi()


@pytest.fixture
def client(api: DocumentedApi) -> Iterator[Client]:
    with HttpServer(api.answer) as server:
        yield Client(
            bucket="content", state_machine_arn=MACHINE, api_url=server.url, token=str, user_id="u-1"
        )


def test_every_operation_has_a_method() -> None:
    assert CALLS.keys() == OPERATIONS.keys()


@pytest.mark.parametrize("name", CALLS)
def test_a_method_sends_its_operation_and_reads_the_answer(
    client: Client, api: DocumentedApi, name: str
) -> None:
    answer = CALLS[name](client)
    assert answer.model_dump()
    ((asked, query, body),) = api.asked
    assert asked == name
    _, _, operation = OPERATIONS[name]
    parameters = [resolved(DOCUMENT, each) for each in operation.get("parameters", [])]
    assert query.keys() <= {each["name"] for each in parameters if each["in"] == "query"}
    assert ("requestBody" in operation) == (body is not None)


def test_a_retry_sends_the_parameters_of_the_endpoint(client: Client, api: DocumentedApi) -> None:
    client.retry("t-1", "u-1", concept_id="c 1", take_over=True, reason="because")
    ((_, query, _),) = api.asked
    assert query == {
        "user_id": ["u-1"],
        "concept_id": ["c 1"],
        "take_over": ["true"],
        "reason": ["because"],
    }


def test_a_preview_starts_nothing_and_is_read(client: Client, api: DocumentedApi) -> None:
    retry = client.preview_retry("t-1", "u-1", content_type="quiz", regenerate=True)
    recovery = client.preview_recovery({"q": "t"}, "r")
    assert min(retry.total_items, recovery.tasks) > 0
    (_, query, _), (_, _, body) = api.asked
    assert query == {
        "user_id": ["u-1"],
        "content_type": ["quiz"],
        "regenerate": ["true"],
        "dry_run": ["true"],
    }
    assert body == {"filter": {"q": "t"}, "reason": "r", "dry_run": True}


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
    assert asked == ["r-1", "r-"]
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
    monkeypatch.setattr("roadmap_content.api.client.time.sleep", pauses.append)
    assert [change.cursor for change in client.changes("t-1", "u-1")] == ["a", "b", "c"]
    assert asked == [None, "b", "b", "b"]
    assert pauses == [0, 0.5, 2]
