"""When and where Step Functions redrives an execution: its documented rules, as decisions without I/O.

Emulated from documentation (Step Functions guide, "Restarting state machine executions with redrive"): an
execution that failed, was aborted or timed out goes on at the step that did not succeed, with that step's own
input, its retry counters at zero, on the definition it was started with, under its own ARN; the context's
`RedriveCount` is one higher. What was exited, also by a Catch, does not run again.

For the local cloud's own Python, which has neither this project's packages nor boto3: standard library only.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

Definition = dict[str, Any]

REDRIVABLE_STATUSES = frozenset({"FAILED", "ABORTED", "TIMED_OUT"})
REDRIVABLE_PERIOD = timedelta(days=14)
LONGEST_EXECUTION = timedelta(days=365)
MOST_EVENTS = 24_999


@dataclass(frozen=True)
class Step:
    """A state, and the input that it was entered with."""

    state: str
    input: str
    """JSON."""


def refusal(
    status: str, *, started_at: datetime, stopped_at: datetime, events: int, now: datetime
) -> str | None:
    """Why Step Functions would not redrive a Standard execution; `None` if it would.

    Emulated from documentation: the conditions of RedriveExecution, the reasons of DescribeExecution.
    """
    if status not in REDRIVABLE_STATUSES:
        return f"Execution is {status} and cannot be redriven"
    if now - stopped_at > REDRIVABLE_PERIOD:
        return "Execution redrivable period exceeded"
    if now - started_at > LONGEST_EXECUTION:
        return "Execution has exceeded the max execution time"
    if events >= MOST_EVENTS:
        return "Execution history event limit exceeded"
    return None


def unsuccessful_step(history: Iterable[Mapping[str, Any]], definition: Definition) -> Step | None:
    """The top-level state that was entered last: a run that is over has not exited it.

    `None` where the run ended before it entered one.
    """
    step = None
    for event in history:
        entered = event.get("stateEnteredEventDetails")
        if entered and entered["name"] in definition["States"]:
            step = Step(entered["name"], entered["input"])
    return step


def derive_definition(definition: Definition, start_at: str, execution: Mapping[str, Any]) -> Definition:
    """The definition that starts at a state, and in whose context `Execution` is the given one."""
    literal = f"({json.dumps(execution)})"

    def with_context(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
        match value:
            case str():
                return re.sub(r"\$states\.context\.Execution\b", lambda _: literal, value)
            case list():
                return [with_context(entry) for entry in value]
            case dict():
                return {key: with_context(entry) for key, entry in value.items()}
            case _:
                return value

    derived: Definition = with_context(definition) | {"StartAt": start_at}
    return derived
