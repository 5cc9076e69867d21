"""Errors that may heal are in the Retry of each state that does not record them: derived from the code."""

import json
from importlib import import_module

import botocore.session
import pytest

from checks.template.reachable import reached_by
from local_stack.builds import REPOSITORY
from roadmap_content.contracts.errors import TransientError

MACHINE = json.loads((REPOSITORY / "statemachine/save_content.asl.json").read_text())
BATCH = MACHINE["States"]["FanOut"]["ItemProcessor"]["States"]

NOT_RAISED = {
    "TransientError": "the base class",
    "EventBusUnavailableError": "events are sent again by the next invocation or the sweep",
    "SecretUnavailableError": "unreadable credentials count as an unreachable database",
}


ENDED = {"Lambda.Unknown", "Runtime.ExitError", "Sandbox.Timedout"}
"""A process that was killed, has used up its memory, or its time."""


def retried(state: dict[str, object]) -> set[str]:
    rules: list[dict[str, list[str]]] = state["Retry"]  # type: ignore[assignment]
    return {name for rule in rules for name in rule["ErrorEquals"]}


def transient_errors(function: str) -> set[str]:
    """The names of the transient errors that the function's code may raise."""
    places = [symbol.rpartition(".") for symbol in reached_by(function).symbols if symbol.endswith("Error")]
    classes = [getattr(import_module(module), name, None) for module, _, name in places]
    return {each.__name__ for each in classes if isinstance(each, type) and issubclass(each, TransientError)}


@pytest.mark.parametrize(
    ("state", "function"),
    [("Plan", "plan_batches"), ("Finalize", "finalize_task"), ("AwaitRedrive", "await_redrive")],
)
def test_a_transient_error_of_the_code_is_tried_again(state: str, function: str) -> None:
    """Regression: a redrive describes its own execution; a throttled call ended it at once."""
    found = transient_errors(function)
    assert found >= NOT_RAISED.keys()
    assert found - NOT_RAISED.keys() <= retried(MACHINE["States"][state])


@pytest.mark.parametrize("state", [*MACHINE["States"].items(), *BATCH.items()], ids=lambda state: state[0])
def test_an_error_of_lambda_s_network_or_of_an_ended_process_is_tried_again(
    state: tuple[str, dict[str, object]],
) -> None:
    """Their names are those of botocore's model of Invoke, and what the first day asks AWS. They pass."""
    operation = botocore.session.get_session().get_service_model("lambda").operation_model("Invoke")
    known = {shape.name for shape in operation.error_shapes}
    temporary = {"ENINotReadyException", "EC2ThrottledException", "SubnetIPAddressLimitReachedException"}
    assert temporary <= known
    if "Retry" in state[1]:
        assert {f"Lambda.{name}" for name in temporary} | ENDED <= retried(state[1])
