"""`events/` holds one event per function, and each is one that the function gets."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.demo import SAMPLE
from roadmap_content.api import require_user
from roadmap_content.contracts import (
    AwaitRedriveRequest,
    BatchRequest,
    FinalizeRequest,
    Payload,
    PlanRequest,
    parse,
)
from roadmap_content.framework import read_framework
from roadmap_content.manifest import make_manifest
from roadmap_content.migrating import MigrateRequest
from roadmap_content.reconciling import ReconcileRequest

REPOSITORY = Path(__file__).parents[2]
CONTRACTS: dict[str, type[Payload]] = {
    "plan_batches": PlanRequest,
    "generate_content": BatchRequest,
    "save_batch": BatchRequest,
    "finalize_task": FinalizeRequest,
    "await_redrive": AwaitRedriveRequest,
    "reconcile_task": ReconcileRequest,
    "migrate_database": MigrateRequest,
}


def event(name: str) -> Any:
    return json.loads((REPOSITORY / "events" / f"{name}.json").read_text())


def test_every_function_has_its_event() -> None:
    functions = {path.parent.name for path in REPOSITORY.glob("functions/*/app.py")}
    assert {path.stem for path in REPOSITORY.glob("events/*.json")} == functions


@pytest.mark.parametrize("name", CONTRACTS)
def test_an_event_is_what_its_function_takes(name: str) -> None:
    request = parse(CONTRACTS[name], event(name))
    assert parse(CONTRACTS[name], request.model_dump(mode="json")) == request


def test_the_batch_is_the_first_of_the_sample() -> None:
    document = json.loads(SAMPLE.read_bytes())
    framework = read_framework(document["roadmap"]["framework_data"])
    (first, *_) = make_manifest(framework, list(framework.items()), 25).batches
    for name in ("generate_content", "save_batch"):
        request = parse(BatchRequest, event(name))
        assert (request.plan.task_id, request.batch) == (document["task"]["task_id"], first)


def test_the_request_of_the_api_is_its_users_own() -> None:
    request = event("task_api")
    require_user(request, request["queryStringParameters"]["user_id"])
