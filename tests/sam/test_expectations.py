"""The comparison of responses in containers with the expected ones."""

from typing import Any

import pytest

from local_stack.builds import REPOSITORY
from local_stack.template_file import read_template
from tests.sam.expectations import EXPECTED, relevant
from tests.sam.running import functions_by_folder


def test_every_function_has_an_expected_response() -> None:
    functions = functions_by_folder(read_template(REPOSITORY / "template.yaml"))
    assert EXPECTED.keys() == functions.keys()
    assert EXPECTED.keys() == {path.stem for path in REPOSITORY.glob("events/*.json")}


@pytest.mark.parametrize(
    ("expected", "actual", "equal"),
    [
        ({"saved": 25}, {"saved": 25, "failed": 0}, True),
        ({"error": None}, {"saved": 25}, True),
        ({"batches": [{"number": 0}]}, {"batches": [{"number": 0, "items": 25}, {"number": 1}]}, True),
        ({"body": {"status": "completed"}}, {"body": '{"status": "completed", "attempt": 2}'}, True),
        ({"saved": 25}, {"saved": 24}, False),
        ({"saved": 25}, {}, False),
        ({"plan": {"attempt": 1}}, {"plan": None}, False),
        ({"batches": [{"number": 0}]}, {"batches": []}, False),
        ({"body": {"attempt": 2}}, {"body": '{"attempt": 3}'}, False),
        ({"errorType": None}, {"errorType": "InvalidPayloadError"}, False),
        ({"errorType": "ContentIncomplete"}, {"replan": True}, False),
    ],
)
def test_the_relevant_part_of_a_response_is_compared(expected: Any, actual: Any, *, equal: bool) -> None:
    assert (relevant(expected, actual) == expected) is equal
