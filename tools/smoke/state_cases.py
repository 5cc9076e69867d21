"""Run the cases of `statemachine/state_cases.json` with TestState, on AWS or on the local cloud.

Each case is one state with one error or result. The file contains the matching retrier and its backoff, or
the matching catcher and the input of the next state. `make smoke` uses AWS (never run yet); the tests use the
local cloud, where TestState is emulated from documentation.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from local_stack.builds import REPOSITORY

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

MACHINES = REPOSITORY / "statemachine"
CASES = MACHINES / "state_cases.json"

_SUBSTITUTION = re.compile(r"\$\{(\w+)\}")

State = Mapping[str, Any]


class Case(NamedTuple):
    """One state with a mocked error or result, and the expected result."""

    machine: str
    state: str
    expected: Mapping[str, Any]
    given: object
    error: str | None = None
    retries: int = 0
    """The number of retries already made by the retrier that matches the error."""

    result: object = None

    @property
    def name(self) -> str:
        """A description for reports."""
        what = f"{self.error} after {self.retries} retries" if self.error else "a result"
        return (
            f"{self.machine}.{self.state}: {what if self.error or self.result is not None else 'its input'}"
        )


def read_cases() -> list[Case]:
    """The cases of the file."""
    document = json.loads(CASES.read_text())
    inputs = document["inputs"]
    return [Case(**{"given": inputs.get(case["state"], {}), **case}) for case in document["cases"]]


def read_context() -> dict[str, Any]:
    """The context object of the cases."""
    context: dict[str, Any] = json.loads(CASES.read_text())["context"]
    return context


def states_of(machine: str) -> dict[str, State]:
    """The states of a definition, also those inside a Map, with substitutions filled in."""
    definition = _SUBSTITUTION.sub(_filled, (MACHINES / f"{machine}.asl.json").read_text())
    return dict(_states(json.loads(definition)))


def differences(client: "SFNClient", case: Case, state: State, context: Mapping[str, Any]) -> Iterator[str]:
    """The differences between the result of TestState and the expectation of the case."""
    request: dict[str, Any] = {
        "definition": json.dumps({**state, "QueryLanguage": "JSONata"}),
        "input": json.dumps(case.given),
        "context": json.dumps(context),
        "inspectionLevel": "DEBUG",
    }
    if case.error is not None:
        request["mock"] = {"errorOutput": {"error": case.error, "cause": "a mocked error"}}
        configuration: dict[str, Any] = {"retrierRetryCount": case.retries}
        if state["Type"] == "Map":
            configuration["errorCausedByState"] = state["ItemProcessor"]["StartAt"]
        request["stateConfiguration"] = configuration
    elif case.result is not None:
        request["mock"] = {"result": json.dumps(case.result), "fieldValidationMode": "NONE"}
    answer = client.test_state(**request)
    details = answer.get("inspectionData", {}).get("errorDetails", {})
    found: dict[str, Any] = {
        "status": answer["status"],
        "next": answer.get("nextState"),
        "retrier": details.get("retryIndex"),
        "catcher": details.get("catchIndex"),
        "output": json.loads(answer["output"]) if answer.get("output") else None,
    }
    for name, value in case.expected.items():
        if name == "backoff":
            # With full jitter, this is the maximum wait.
            waited = details.get("retryBackoffIntervalSeconds")
            if waited is None or waited > value:
                yield f"{case.name}: a backoff of {waited} s, not of at most {value} s"
        elif found[name] != value:
            yield f"{case.name}: {name} is {found[name]!r}, not {value!r}"


def _states(machine: State) -> Iterator[tuple[str, State]]:
    for name, state in machine["States"].items():
        yield name, state
        if state["Type"] == "Map":
            yield from _states(state["ItemProcessor"])


def _filled(match: re.Match[str]) -> str:
    name = match[1]
    if name == "MaxConcurrency":
        return "5"
    return f"arn:aws:lambda:us-east-1:123456789012:function:{name}:1"
