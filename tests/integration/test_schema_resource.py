"""CloudFormation always gets a response, and the reason of a failure."""

import json
import time
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from roadmap_content.contracts.errors import DatabaseUnavailableError
from roadmap_content.runs.installation import migrate
from roadmap_content.runs.installation.migrate import (
    SchemaProperties,
    StaleReleaseError,
    answer_cloudformation,
    require_new_release,
)
from tests.support.http_server import HttpServer, Reply, Request


class CloudFormation:
    """Receives the responses, and answers with the given statuses."""

    def __init__(self, statuses: list[int]) -> None:
        self.answers: list[dict[str, Any]] = []
        self.content_types: list[str | None] = []
        self.url = ""
        self._statuses = statuses

    def answer(self, request: Request) -> Reply:
        status = self._statuses.pop(0)
        if status == 200:
            self.answers.append(json.loads(request.body))
            self.content_types.append(request.headers["Content-Type"])
        return Reply(status)


@pytest.fixture
def statuses() -> list[int]:
    return [200]


@pytest.fixture
def cloudformation(statuses: list[int]) -> Iterator[CloudFormation]:
    double = CloudFormation(statuses)
    with HttpServer(double.answer) as server:
        double.url = f"{server.url}/answer"
        yield double


def request(
    url: str, kind: str = "Create", physical_id: str | None = None, **properties: Any
) -> Mapping[str, Any]:
    event = {
        "RequestType": kind,
        "ResponseURL": url,
        "StackId": "arn:stack",
        "RequestId": "r1",
        "LogicalResourceId": "Schema",
        "ResourceType": "Custom::Schema",
        "ResourceProperties": {"ServiceToken": "arn", "Release": "1", "Settings": ["a", ["b"]], **properties},
    }
    return event if physical_id is None else event | {"PhysicalResourceId": physical_id}


def refuse() -> str:
    raise DatabaseUnavailableError("no connection")


def test_a_migrated_schema_is_a_success_with_its_revision(cloudformation: CloudFormation) -> None:
    answer_cloudformation(request(cloudformation.url), lambda: "0003")
    (answer,) = cloudformation.answers
    assert (answer["Status"], answer["Data"], answer["StackId"]) == (
        "SUCCESS",
        {"Revision": "0003"},
        "arn:stack",
    )
    assert (answer["RequestId"], answer["LogicalResourceId"]) == ("r1", "Schema")
    assert answer["PhysicalResourceId"].startswith("schema-1-")
    assert cloudformation.content_types == [""], "the URL is signed without one"


def test_a_migration_that_fails_is_a_failure_with_its_reason(cloudformation: CloudFormation) -> None:
    answer_cloudformation(request(cloudformation.url, "Update", "schema-0-f"), refuse)
    (answer,) = cloudformation.answers
    assert (answer["Status"], answer["Reason"]) == ("FAILED", "DatabaseUnavailableError: no connection")
    assert answer["PhysicalResourceId"] == "schema-0-f"


def test_deleting_the_stack_leaves_the_schema(cloudformation: CloudFormation) -> None:
    answer_cloudformation(request(cloudformation.url, "Delete", "schema-0-f"), refuse)
    (answer,) = cloudformation.answers
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", "schema-0-f")


@pytest.mark.parametrize("statuses", [[503, 200]])
def test_a_response_that_is_not_accepted_is_sent_again(cloudformation: CloudFormation) -> None:
    answer_cloudformation(request(cloudformation.url), lambda: "0003")
    assert len(cloudformation.answers) == 1


def test_a_response_that_cannot_be_sent_is_tried_for_some_time_with_pauses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tries: list[float] = []

    def refuse_connection(*_: Any, **__: Any) -> None:
        tries.append(time.monotonic())
        raise ConnectionRefusedError

    monkeypatch.setattr(urllib.request, "urlopen", refuse_connection)
    monkeypatch.setattr(migrate, "_SEND_SECONDS", 0.2)
    with pytest.raises(ConnectionRefusedError):
        answer_cloudformation(request("http://localhost/answer"), lambda: "0003")
    assert 3 < len(tries) < 40
    assert tries[-1] - tries[0] > 0.5


def properties(release: str, *settings: str) -> SchemaProperties:
    return SchemaProperties.model_validate({"Release": release, "Settings": list(settings)})


def test_changed_settings_need_a_new_release() -> None:
    before = properties("1", "a", "b")
    with pytest.raises(StaleReleaseError, match="'1'"):
        require_new_release(before.identity, properties("1", "a", "c"))
    require_new_release(before.identity, properties("2", "a", "c"))
    require_new_release(before.identity, before)
    require_new_release(None, before)


def test_a_rollback_to_the_deployed_release_is_not_stale(
    cloudformation: CloudFormation, statuses: list[int]
) -> None:
    statuses.append(200)
    deployed = properties("1", "a", "b").identity
    answer_cloudformation(request(cloudformation.url, "Update", deployed, Settings=["a", "c"]), lambda: "1")
    answer_cloudformation(request(cloudformation.url, "Update", deployed, Settings=["a", "b"]), lambda: "1")
    refused, rolled_back = cloudformation.answers
    assert (refused["Status"], refused["PhysicalResourceId"]) == ("FAILED", deployed)
    assert (rolled_back["Status"], rolled_back["PhysicalResourceId"]) == ("SUCCESS", deployed)
