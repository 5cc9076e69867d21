"""Payloads between the steps: faults are reported, and the cause of an error is readable."""

import json

import pytest

from roadmap_content.contracts.errors import InvalidPayloadError
from roadmap_content.contracts.payloads import RunInput, StateError, parse
from roadmap_content.runs.steps.plan import PlanRequest


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        ("plain", "plain"),
        ("", ""),
        (json.dumps({"errorMessage": 'it "broke" \\ here', "errorType": "X"}), 'it "broke" \\ here'),
        ('{"errorMessage": "cut of', "cut of"),
        ('{"errorMessage": "cut at a backslash \\', "cut at a backslash "),
        ('{"errorMessage": "cut in \\u00', "cut in "),
        ('{"other": 1}', '{"other": 1}'),
    ],
)
def test_a_truncated_cause_is_read_up_to_its_end(cause: str, reason: str) -> None:
    assert StateError(error="E", cause=cause).reason == reason


@pytest.mark.parametrize("event", [None, [], {}, {"input": {"task_id": ""}}, {"input": {"task_id": 1}}])
def test_a_payload_of_another_shape_is_refused_with_its_type(event: object) -> None:
    with pytest.raises(InvalidPayloadError, match="PlanRequest"):
        parse(PlanRequest, event)


def test_an_error_with_half_a_character_can_be_answered_again() -> None:
    """Finalize returns the error of the run. Lambda encodes the answer, and would fail after its COMMIT."""
    error = StateError(error="E\ud800", cause="a\ud800b")
    assert (error.error, error.cause) == ("E\ufffd", "a\ufffdb")


@pytest.mark.parametrize("task_id", ["t-\0", "t-\ud800"])
def test_a_task_id_that_cannot_be_stored_is_not_that_of_another_task(task_id: str) -> None:
    with pytest.raises(InvalidPayloadError, match="task_id"):
        parse(RunInput, {"task_id": task_id})
    with pytest.raises(ValueError, match="task_id"):
        RunInput.model_validate_json(json.dumps({"task_id": task_id}))
