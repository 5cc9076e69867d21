"""The comparison of responses in containers with the expected ones."""

from pathlib import Path
from typing import Any

import pytest

from checks.sam.expectations import EXPECTED, Expectation, differences
from checks.sam.running import functions_by_folder
from local_stack.template_file import read_template

REPOSITORY = Path(__file__).parents[2]


def test_every_function_has_an_expected_response() -> None:
    functions = functions_by_folder(read_template(REPOSITORY / "template.yaml"))
    assert EXPECTED.keys() == functions.keys()
    assert EXPECTED.keys() == {path.stem for path in REPOSITORY.glob("events/*.json")}


@pytest.mark.parametrize(
    ("expectation", "answer"),
    [
        (Expectation({"saved": 25}), {"saved": 25, "failed": 0}),
        (Expectation({"error": None}), {"saved": 25}),
        (Expectation({"batches": [{"number": 0}]}), {"batches": [{"number": 0, "items": 25}, {"number": 1}]}),
        (Expectation({"body": {"status": "completed"}}), {"body": '{"status": "completed", "attempt": 2}'}),
        (Expectation(error="ContentIncomplete"), {"errorType": "ContentIncomplete", "stackTrace": []}),
    ],
)
def test_keys_without_an_expectation_are_ignored(expectation: Expectation, answer: Any) -> None:
    assert differences(expectation, answer) == []


@pytest.mark.parametrize(
    ("expectation", "answer", "difference"),
    [
        (Expectation({"saved": 25}), {"saved": 24}, ".saved is 24, not 25"),
        (Expectation({"saved": 25}), {}, ".saved is None, not 25"),
        (Expectation({"plan": {"attempt": 1}}), {"plan": {"attempt": 2}}, ".plan.attempt is 2, not 1"),
        (Expectation({"plan": {"attempt": 1}}), {"plan": None}, ".plan is None, not {'attempt': 1}"),
        (Expectation({"batches": [{"number": 0}]}), {"batches": []}, ".batches is [], not [{'number': 0}]"),
        (Expectation({"body": {"attempt": 2}}), {"body": '{"attempt": 3}'}, ".body.attempt is 3, not 2"),
        (Expectation({"saved": 25}), "timed out", "not an object: 'timed out'"),
        (
            Expectation({"saved": 25}),
            {"errorType": "InvalidPayloadError", "errorMessage": "plan: missing"},
            "errorType is 'InvalidPayloadError', not None: plan: missing",
        ),
        (
            Expectation(error="ContentIncomplete"),
            {"replan": True},
            "errorType is None, not 'ContentIncomplete': None",
        ),
    ],
)
def test_a_difference_from_the_expectation_is_named(
    expectation: Expectation, answer: Any, difference: str
) -> None:
    assert differences(expectation, answer) == [difference]
