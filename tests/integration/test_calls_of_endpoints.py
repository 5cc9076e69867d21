"""The number of an endpoint's calls of AWS does not depend on the size of the roadmap."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import pytest

from local_stack.builds import REPOSITORY
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.aws.executions import Executions
from roadmap_content.platform.storage.bucket import Bucket
from tests.integration.test_revisions import regenerate
from tests.support.endpoint_calls import CALLS, Counted, counted, operation_of
from tests.support.factories import USER, bundle_of, concept_ids
from tests.support.memory_s3 import ObservedS3
from tests.support.pipeline import S3, Pipeline
from tests.support.prepared import prepare
from tests.support.requests_to_api import OPERATOR, Ask

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:save-content:live"
REFUSED = {"filter": {"error_code": "InvalidContent"}, "reason": "r"}
ENDED = "UPDATE content_recoveries SET ended_at = now() WHERE state = 'cancelled'"
CONCEPT = {"concept_id": concept_ids(1)[0]}


class Endpoint(NamedTuple):
    """A request of an operation, and the state of its task before."""

    method: str
    path: str
    query: Mapping[str, Any] = {}
    body: Any = None
    running: bool = False
    """Whether an attempt of the task is running. Otherwise items are missing."""


ENDPOINTS: Mapping[str, Endpoint] = {
    "get_me": Endpoint("GET", "/me"),
    "list_tasks": Endpoint("GET", "/tasks", running=True),
    "get_task": Endpoint("GET", "/tasks/t-1", running=True),
    "get_source": Endpoint("GET", "/tasks/t-1/source"),
    "list_items": Endpoint("GET", "/tasks/t-1/items", running=True),
    "get_item": Endpoint("GET", "/tasks/t-1/items/tutorial", CONCEPT, running=True),
    "get_content": Endpoint("GET", "/tasks/t-1/content/tutorial", CONCEPT, running=True),
    "list_revisions": Endpoint("GET", "/tasks/t-1/items/tutorial/revisions", CONCEPT),
    "restore_revision": Endpoint(
        "POST", "/tasks/t-1/items/tutorial/revisions/{revision_id}/restore", CONCEPT
    ),
    "list_changes": Endpoint("GET", "/tasks/t-1/changes", running=True),
    "list_attempts": Endpoint("GET", "/tasks/t-1/attempts", running=True),
    "retry_task": Endpoint("POST", "/tasks/t-1/retry"),
    "cancel_task": Endpoint("POST", "/tasks/t-1/cancel", running=True),
    "list_failures": Endpoint("GET", "/failures"),
    "get_failure_group": Endpoint("GET", "/failures/{group_id}"),
    "change_failure_group": Endpoint(
        "PUT", "/failures/{group_id}", body={"state": "acknowledged", "note": "n"}
    ),
    "get_failure_history": Endpoint("GET", "/failure-hours"),
    "get_health": Endpoint("GET", "/health"),
    "get_activity": Endpoint("GET", "/health/hours"),
    "count_origins": Endpoint("GET", "/origins"),
    "create_recovery": Endpoint("POST", "/recoveries", body=REFUSED),
    "list_recoveries": Endpoint("GET", "/recoveries"),
    "get_recovery": Endpoint("GET", "/recoveries/{recovery_id}"),
    "list_recovery_tasks": Endpoint("GET", "/recoveries/{recovery_id}/tasks"),
    "pause_recovery": Endpoint("POST", "/recoveries/{recovery_id}/pause"),
    "resume_recovery": Endpoint("POST", "/recoveries/{paused_id}/resume"),
    "cancel_recovery": Endpoint("POST", "/recoveries/{recovery_id}/cancel"),
    "undo_recovery": Endpoint("POST", "/recoveries/{cancelled_id}/undo"),
    "get_capacity": Endpoint("GET", "/capacity"),
    "change_capacity": Endpoint("PUT", "/capacity", body={"slots": 3, "reason": "r"}),
    "erase_user": Endpoint("DELETE", "/users/nobody/content"),
    "list_due_erasures": Endpoint("POST", "/erasures/due"),
}


def replaced_and_missing(pipeline: Pipeline, concepts: int) -> None:
    last = concept_ids(concepts)[-1]
    pipeline.load(bundle_of(concept_ids(concepts)))
    pipeline.stage(Item(last, ContentType.QUIZ), b"{")
    pipeline.run()
    regenerate(pipeline, ContentType.TUTORIAL)


class Api:
    """The API for an operator, over a roadmap of which an item is missing and one was replaced."""

    def __init__(self, ask: Ask, pipeline: Pipeline, concepts: int) -> None:
        self.ask = ask
        self.pipeline = pipeline
        self.recovery_id = ""
        prepare(pipeline, replaced_and_missing, concepts)

    def send(self, method: str, path: str, query: Any = None, body: Any = None) -> Any:
        reply = self.ask(method, path, query, body=body, **OPERATOR)
        assert reply.status in (200, 201, 202), reply.body
        return reply.body

    def named(self, path: str) -> str:
        """A path with ids of things that exist."""
        if "{group_id}" in path:
            (group,) = self.send("GET", "/failures")["items"]
            return path.replace("{group_id}", str(group["group_id"]))
        if "{revision_id}" in path:
            revisions = self.send("GET", path.partition("/{")[0], CONCEPT)["items"]
            (former,) = [each for each in revisions if not each["current"]]
            return path.replace("{revision_id}", str(former["revision_id"]))
        if "_id}" in path:
            body = {"reason": "r", "regenerate": {"content_type": "tutorial"}}
            if not self.recovery_id:
                self.recovery_id = str(self.send("POST", "/recoveries", body=body)["recovery_id"])
            for name, change in (("paused_id", "pause"), ("cancelled_id", "cancel")):
                if name in path:
                    self.send("POST", f"/recoveries/{self.recovery_id}/{change}")
                    self.pipeline.execute(ENDED)
            return path[: path.index("{")] + self.recovery_id + path[path.index("}") + 1 :]
        return path


@pytest.fixture
def calls(pipeline: Pipeline) -> Iterator[Counted]:
    """The calls of AWS. Those of S3 are counted as requests to the S3 in memory."""
    with counted() as calls:
        services = pipeline.services
        observed = ObservedS3(S3.client, lambda request, _: calls.count(operation_of(request)))
        services.bucket = Bucket("content", observed.client)
        services.executions = Executions(MACHINE)
        calls.execution = "FAILED"
        yield calls


def test_the_calls_of_every_endpoint_are_known() -> None:
    paths = json.loads((REPOSITORY / "docs/openapi.json").read_text())["paths"].values()
    operations = {each["operationId"] for path in paths for each in path.values()}
    assert operations == ENDPOINTS.keys() >= CALLS.keys()


OF_A_RECOVERY = ["get_recovery", "list_recovery_tasks", "pause_recovery"]
ALONE = ["retry_task", "cancel_task", "resume_recovery", "cancel_recovery", "undo_recovery", "erase_user"]
"""They change the state that others find. All others are asked one after another."""
OTHERS = [name for name in ENDPOINTS if name not in (*OF_A_RECOVERY, *ALONE)]


@pytest.mark.parametrize("operations", [OTHERS, OF_A_RECOVERY, *([name] for name in ALONE)], ids=" ".join)
def test_the_calls_of_an_endpoint_are_those_that_are_stated(
    ask: Ask, pipeline: Pipeline, calls: Counted, operations: list[str]
) -> None:
    api = Api(ask, pipeline, concepts=3)  # no endpoint calls a service for each of them
    for operation in sorted(operations, key=lambda name: ENDPOINTS[name].running):
        endpoint = ENDPOINTS[operation]
        if endpoint.running and calls.execution != "RUNNING":
            pipeline.retry()
            calls.execution = "RUNNING"
            pipeline.execute("UPDATE roadmap_tasks SET updated_at = updated_at - interval '1 hour'")
        path = api.named(endpoint.path)
        calls.clear()
        api.send(endpoint.method, path, endpoint.query, endpoint.body)
        assert calls == CALLS.get(operation, {}), operation


def test_polling_running_tasks_makes_no_call(ask: Ask, pipeline: Pipeline, calls: Counted) -> None:
    api = Api(ask, pipeline, 2)
    pipeline.retry()
    calls.execution = "RUNNING"
    pipeline.execute(
        "INSERT INTO roadmap_tasks (task_id, user_id, roadmap_id, status, attempt, execution_arn, created_at,"
        " updated_at) SELECT 'other-' || n, :user, 'r-1', 'processing', 1, 'arn:' || n, now(),"
        " now() - interval '1 hour' FROM generate_series(1, 20) n",
        user=USER,
    )
    pipeline.execute(
        "INSERT INTO content_attempts (task_id, attempt, actor, cause, step)"
        " SELECT 'other-' || n, 1, 'console', 'first_run', 'working' FROM generate_series(1, 20) n"
    )
    calls.clear()
    for number in range(1, 21):
        assert api.send("GET", f"/tasks/other-{number}")["live"]
    assert not calls
