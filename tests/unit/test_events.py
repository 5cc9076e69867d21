"""`events/` contains one valid example event per function."""

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from checks.template.events import CONTRACTS, check_events
from documents.events import events_after_a_plan
from local_stack.builds import REPOSITORY
from roadmap_content.capabilities.recoveries.decisions import FINAL_STATES
from roadmap_content.contracts.events import detail_of, recovery_ended
from roadmap_content.contracts.payloads import parse
from roadmap_content.contracts.states import RecoveryState
from tests.support.templates import STACK


def event(name: str) -> Any:
    return json.loads((REPOSITORY / "events" / f"{name}.json").read_text())


def test_every_function_has_a_valid_example_event() -> None:
    assert list(check_events(STACK, REPOSITORY / "events")) == []


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
