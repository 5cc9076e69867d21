"""Every state with every error that it retries or catches, compared with `statemachine/state_cases.json`.

TestState of the local cloud is emulated from documentation; `make smoke` compares AWS with the same file.
"""

import pytest

from local_stack.stack import LocalStack
from smoke.state_cases import differences, read_cases, read_context, states_of

CASES = read_cases()
STATES = {machine: states_of(machine) for machine in ("save_content",)}


def test_the_table_answers_as_recorded(stack: LocalStack) -> None:
    client = stack.client("stepfunctions")
    found = [
        difference
        for case in CASES
        for difference in differences(client, case, STATES[case.machine][case.state], read_context())
    ]
    assert found == []


@pytest.mark.parametrize("change", ["retrier", "backoff", "catcher", "next", "output", "status"])
def test_a_difference_from_the_table_is_reported(stack: LocalStack, change: str) -> None:
    case = next(case for case in CASES if change in case.expected)
    wrong = -1 if change == "backoff" else "otherwise"
    other = case._replace(expected={**case.expected, change: wrong})
    state = STATES[case.machine][case.state]
    assert len(list(differences(stack.client("stepfunctions"), other, state, read_context()))) == 1
