"""Each role allows the calls of its function's code; missing, unused and too broad permissions are found."""

import pytest

from checks.template.declared import Function, functions_in
from checks.template.permissions import MAY_NEED, RUNTIME, compare
from checks.template.reachable import Reached, reached_by
from tests.support.templates import STACK

FUNCTIONS = {function.logical_id: function for function in functions_in(STACK)}
OPTIONAL = RUNTIME.union(*MAY_NEED.values())
NEEDED = [
    (logical_id, action)
    for logical_id, function in FUNCTIONS.items()
    for action in sorted({action for each in function.statements for action in each.actions} - OPTIONAL)
    if not action.startswith("ec2:")
]


def faults(function: Function, reached: Reached | None = None) -> list[str]:
    return [finding.fault for finding in compare(function, reached or reached_by(function.name))]


def without(function: Function, action: str) -> Function:
    statements = tuple(
        statement._replace(actions=tuple(each for each in statement.actions if each != action))
        for statement in function.statements
    )
    return function._replace(statements=statements)


@pytest.mark.parametrize("logical_id", FUNCTIONS)
def test_a_role_allows_exactly_the_calls_of_the_code(logical_id: str) -> None:
    assert faults(FUNCTIONS[logical_id]) == []


@pytest.mark.parametrize(("logical_id", "action"), NEEDED)
def test_every_removed_permission_is_reported_as_missing(logical_id: str, action: str) -> None:
    assert faults(without(FUNCTIONS[logical_id], action)) == [f"{action} is used and not allowed"]
