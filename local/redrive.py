"""RedriveExecution, emulated from documentation: no local engine has it.

The rule (Step Functions guide, "Restarting state machine executions with redrive"): an execution that
failed, was aborted or timed out goes on at the step that did not succeed, with that step's own input, its
retry counters at zero, on the definition it was started with, under its own ARN; the context's `RedriveCount`
is one higher. What was exited, also by a Catch, does not run again.

How: a state machine that starts at that step, and in which `$states.context.Execution` is replaced by what
the redriven execution would see. What cannot be emulated so: the redriven run has an ARN of its own
(`RedrivenExecution.emulation_arn`), while DescribeExecution of the execution itself still says how it ended
before; rules on the original state machine do not hear of its end; of a Map that was not exited every
iteration runs again, not only those that did not succeed; and variables (Assign) are not restored, of which
the product's state machine has none.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from roadmap_content.executions import NotRedrivableError

from .stack import LocalStack

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef, HistoryEventTypeDef

Definition = dict[str, Any]

REDRIVABLE_STATUSES = frozenset({"FAILED", "ABORTED", "TIMED_OUT"})
REDRIVABLE_PERIOD = timedelta(days=14)
LONGEST_EXECUTION = timedelta(days=365)
MOST_EVENTS = 24_999


@dataclass(frozen=True)
class RedrivenExecution:
    """An execution, and the run that stands for its latest redrive."""

    execution_arn: str
    redrive_count: int
    emulation_arn: str
    """What to follow: the execution that does what the redriven one would do."""


@dataclass(frozen=True)
class Step:
    """A state, and the input that it was entered with."""

    state: str
    input: str
    """JSON."""


def redrive(stack: LocalStack, execution_arn: str) -> RedrivenExecution:
    """Redrive an execution, also one that has been redriven before; see this module.

    Raises:
        NotRedrivableError: Step Functions would refuse it (ExecutionNotRedrivable); says why.
    """
    client: SFNClient = stack.client("stepfunctions")
    runs = _runs(client, execution_arn)
    original, latest = runs[0], runs[-1]
    histories = [_history(client, run["executionArn"]) for run in runs]
    now = datetime.now(UTC)
    if reason := refusal(
        latest["status"],
        started_at=original["startDate"],
        stopped_at=latest.get("stopDate", now),
        events=sum(map(len, histories)),
        now=now,
    ):
        raise NotRedrivableError(reason)

    machine = client.describe_state_machine_for_execution(executionArn=execution_arn)
    definition = json.loads(machine["definition"])
    step = unsuccessful_step(histories[-1], definition) or Step(definition["StartAt"], original["input"])
    context = {
        "Id": execution_arn,
        "Name": original["name"],
        "Input": json.loads(original["input"]),
        "RoleArn": machine["roleArn"],
        "StartTime": _timestamp(original["startDate"]),
        "RedriveCount": len(runs),
        "RedriveTime": _timestamp(now),
    }
    name = _emulation_name(execution_arn, len(runs))
    emulation = client.create_state_machine(
        name=name,
        definition=json.dumps(derive_definition(definition, step.state, context)),
        roleArn=machine["roleArn"],
    )
    started = client.start_execution(
        stateMachineArn=emulation["stateMachineArn"], name=name, input=step.input
    )
    return RedrivenExecution(execution_arn, len(runs), started["executionArn"])


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


def unsuccessful_step(history: "Iterable[HistoryEventTypeDef]", definition: Definition) -> Step | None:
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


def _runs(client: "SFNClient", execution_arn: str) -> "list[DescribeExecutionOutputTypeDef]":
    """The execution, then the runs that stand for its redrives."""
    runs = [client.describe_execution(executionArn=execution_arn)]
    prefix = execution_arn.rsplit(":", 2)[0]
    while True:
        name = _emulation_name(execution_arn, len(runs))
        try:
            runs.append(client.describe_execution(executionArn=f"{prefix}:{name}:{name}"))
        except client.exceptions.ExecutionDoesNotExist:
            return runs


def _emulation_name(execution_arn: str, redrive_count: int) -> str:
    return f"redrive-{hashlib.sha256(execution_arn.encode()).hexdigest()[:16]}-{redrive_count}"


def _history(client: "SFNClient", execution_arn: str) -> "list[HistoryEventTypeDef]":
    pages = client.get_paginator("get_execution_history").paginate(executionArn=execution_arn)
    return [event for page in pages for event in page["events"]]


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
