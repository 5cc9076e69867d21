"""`events/` contains one valid example event per function."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from documents.events import events_after_a_plan
from local_stack.builds import REPOSITORY
from roadmap_content.api.callers import caller_of
from roadmap_content.capabilities.recoveries.decisions import FINAL_STATES
from roadmap_content.capabilities.recoveries.recovery import recovery_ended
from roadmap_content.contracts.events import detail_of
from roadmap_content.contracts.generation import GenerationEvent
from roadmap_content.contracts.payloads import BatchRequest, Payload, parse
from roadmap_content.contracts.states import RecoveryState
from roadmap_content.runs.installation.migrate import MigrateRequest
from roadmap_content.runs.reconciliation.reconcile import ReconcileRequest
from roadmap_content.runs.steps.await_redrive import AwaitRedriveRequest
from roadmap_content.runs.steps.finalize import FinalizeRequest
from roadmap_content.runs.steps.plan import PlanRequest
from tests.support.templates import FUNCTIONS


def event(name: str) -> Any:
    return json.loads((REPOSITORY / "events" / f"{name}.json").read_text())


CONTRACTS: Mapping[str, type[Payload]] = {
    "plan_batches": PlanRequest,
    "generate_content": BatchRequest,
    "save_batch": BatchRequest,
    "finalize_task": FinalizeRequest,
    "await_redrive": AwaitRedriveRequest,
    "reconcile_task": ReconcileRequest,
    "migrate_database": MigrateRequest,
    "generator": GenerationEvent,
}
"""The payload types of the functions that API Gateway does not invoke, the last one of the team's."""


OTHERS = ("authorize_request", "check_links", "console", "operator_api", "task_api")


def test_every_function_has_an_example_event() -> None:
    names = {Path(each["CodeUri"]).name for each in FUNCTIONS.values()} | {"generator"}
    assert names == {*CONTRACTS, *OTHERS} == {path.stem for path in (REPOSITORY / "events").glob("*.json")}


@pytest.mark.parametrize("name", ["console", "operator_api", "task_api"])
def test_an_example_of_a_request_has_a_route_of_its_function(name: str) -> None:
    request = event(name)
    (function,) = (each for each in FUNCTIONS.values() if Path(each["CodeUri"]).name == name)
    routes = [each["Properties"] for each in function["Events"].values() if each["Type"] == "Api"]
    assert (request["httpMethod"], request["resource"]) in [(each["Method"], each["Path"]) for each in routes]
    if name != "console":
        caller_of(request).reads_for((request["queryStringParameters"] or {}).get("user_id"))


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_payload_survives_a_round_trip(name: str) -> None:
    request = parse(CONTRACTS[name], event(name))
    assert parse(CONTRACTS[name], request.model_dump(mode="json")) == request


def test_the_events_match_a_run_of_the_sample() -> None:
    for path, text in events_after_a_plan().items():
        assert path.read_text() == text, "run `make openapi`"


@pytest.mark.parametrize("state", sorted(FINAL_STATES))
def test_the_schema_of_the_end_of_a_recovery_allows_every_final_state(state: RecoveryState) -> None:
    document = json.loads((REPOSITORY / "docs" / "schemas" / "events.json").read_text())
    detail = detail_of(recovery_ended("r-1", state, {}), datetime.now(UTC))
    jsonschema.validate(detail, {"$ref": "#/$defs/Recovery Ended", **document})
