"""The documented rules of redrives in Step Functions, as functions without I/O.

Emulated from documentation (Step Functions guide, "Restarting state machine executions with redrive"): an
execution that failed, was aborted or timed out continues at the unsuccessful step, with that step's input,
with reset retry counters, with its original definition and ARN; the context's `RedriveCount` is one higher. A
state that was exited, also by a Catch, does not run again.

For the local cloud's own Python, which has neither this project's packages nor boto3: standard library only.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Definition = dict[str, Any]

REDRIVABLE_STATUSES = frozenset({"FAILED", "ABORTED", "TIMED_OUT"})


@dataclass(frozen=True)
class Step:
    """A state, and the input with which it was entered."""

    state: str
    input: str
    """JSON."""


def unsuccessful_step(history: Iterable[Mapping[str, Any]], definition: Definition) -> Step | None:
    """The top-level state that was entered last and not exited.

    `None` if no state was entered.
    """
    step = None
    for event in history:
        entered = event.get("stateEnteredEventDetails")
        if entered and entered["name"] in definition["States"]:
            step = Step(entered["name"], entered["input"])
    return step


def derive_definition(definition: Definition, start_at: str, execution: Mapping[str, Any]) -> Definition:
    """The definition that starts at a state, with the given value for `Execution` in its context."""
    literal = f"({json.dumps(execution)})"

    def with_context(value: Any) -> Any:  # noqa: ANN401 - any JSON value
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
