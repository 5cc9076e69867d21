"""RedriveExecution, emulated from documentation: no local engine has it.

What is emulated ("Restarting state machine executions with redrive" in the Step Functions guide): an execution
that failed, was aborted or timed out goes on at the state that was entered and never exited, with that state's
own input, with its retry counters at zero, on the definition that it was started with, under its own ARN; the
context's `RedriveCount` is one higher. What was exited, also by a Catch, does not run again.

How: a state machine that starts at that state, and whose `$states.context.Execution` is replaced by what the
redriven execution would see. So the redriven run has another ARN here (`RedrivenExecution.emulation_arn`) and
the execution itself stays FAILED in DescribeExecution; its end is not told to rules on the original state
machine; and of a Map that was not exited every iteration runs again, not only those that did not succeed.
Variables (Assign) are not restored: the product's state machine has none.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from roadmap_content.executions import NotRedrivableError

from .stack import LocalStack

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef

REDRIVABLE_STATUSES = frozenset({"FAILED", "ABORTED", "TIMED_OUT"})
REDRIVABLE_PERIOD = timedelta(days=14)
MOST_EVENTS = 24_999
MOST_REDRIVES = 1_000


@dataclass(frozen=True)
class RedrivenExecution:
    """An execution, and the run that stands for its latest redrive."""

    execution_arn: str
    redrive_count: int
    emulation_arn: str
    """What to follow: the execution that does what the redriven one would do."""


@dataclass(frozen=True)
class OpenState:
    """A state that was entered and never exited."""

    name: str
    input: Any


def redrive(stack: LocalStack, execution_arn: str) -> RedrivenExecution:
    """Redrive an execution; see this module.

    Raises:
        NotRedrivableError: Step Functions would refuse it (ExecutionNotRedrivable); says why.
    """
    client: SFNClient = stack.client("stepfunctions")
    original = client.describe_execution(executionArn=execution_arn)
    definition = json.loads(
        client.describe_state_machine_for_execution(executionArn=execution_arn)["definition"]
    )
    latest, redrives = _latest_run(client, original)
    events = _history(client, latest["executionArn"])
    now = datetime.now(UTC)
    if reason := refusal(latest["status"], latest.get("stopDate"), len(events), redrives, now):
        raise NotRedrivableError(reason)

    count = redrives + 1
    open_state = state_to_redrive(events, definition, json.loads(latest["input"]))
    context = {
        "Id": execution_arn,
        "Name": original["name"],
        "Input": json.loads(original["input"]),
        "StartTime": _timestamp(original["startDate"]),
        "RedriveCount": count,
        "RedriveTime": _timestamp(now),
    }
    machine = client.create_state_machine(
        name=_emulation_name(execution_arn, count),
        definition=json.dumps(derive_definition(definition, open_state.name, context)),
        roleArn=client.describe_state_machine(stateMachineArn=original["stateMachineArn"])["roleArn"],
    )
    started = client.start_execution(
        stateMachineArn=machine["stateMachineArn"],
        name=_emulation_name(execution_arn, count),
        input=json.dumps(open_state.input),
    )
    return RedrivenExecution(execution_arn, count, started["executionArn"])


def refusal(
    status: str, stopped_at: datetime | None, events: int, redrives: int, now: datetime
) -> str | None:
    """Why Step Functions would not redrive a Standard execution, by its documentation; `None` if it would."""
    if status not in REDRIVABLE_STATUSES:
        return f"Execution is {status} and cannot be redriven"
    if stopped_at is not None and now - stopped_at > REDRIVABLE_PERIOD:
        return f"Execution was completed more than {REDRIVABLE_PERIOD.days} days ago and cannot be redriven"
    if events >= MOST_EVENTS:
        return f"Execution has {events} events in its history and cannot be redriven"
    if redrives >= MOST_REDRIVES:
        return f"Execution has been redriven {redrives} times and cannot be redriven"
    return None


def state_to_redrive(events: list[dict[str, Any]], definition: dict[str, Any], run_input: Any) -> OpenState:
    """The top-level state that was entered and never exited; the first one, if none was entered."""
    open_state = OpenState(definition["StartAt"], run_input)
    for event in events:
        entered = event.get("stateEnteredEventDetails")
        if entered and entered["name"] in definition["States"]:
            open_state = OpenState(entered["name"], json.loads(entered["input"]))
    return open_state


def derive_definition(definition: dict[str, Any], start_at: str, execution: dict[str, Any]) -> dict[str, Any]:
    """The definition that starts at a state and whose context's `Execution` is the given one."""
    literal = f"({json.dumps(execution)})"

    def with_context(value: Any) -> Any:  # noqa: ANN401 - whatever ASL holds
        match value:
            case str():
                return re.sub(r"\$states\.context\.Execution\b", lambda _: literal, value)
            case list():
                return [with_context(entry) for entry in value]
            case dict():
                return {key: with_context(entry) for key, entry in value.items()}
            case _:
                return value

    derived: dict[str, Any] = with_context(definition) | {"StartAt": start_at}
    return derived


def _latest_run(
    client: "SFNClient", original: "DescribeExecutionOutputTypeDef"
) -> tuple["DescribeExecutionOutputTypeDef", int]:
    """The run of an execution's latest redrive, or the execution itself, and how often it was redriven."""
    latest, redrives = original, 0
    while True:
        arn = _emulation_arn(original["executionArn"], redrives + 1)
        try:
            latest = client.describe_execution(executionArn=arn)
        except client.exceptions.ExecutionDoesNotExist:
            return latest, redrives
        redrives += 1


def _emulation_name(execution_arn: str, count: int) -> str:
    return f"redrive-{hashlib.sha256(execution_arn.encode()).hexdigest()[:16]}-{count}"


def _emulation_arn(execution_arn: str, count: int) -> str:
    prefix = execution_arn.rsplit(":", 2)[0]
    name = _emulation_name(execution_arn, count)
    return f"{prefix}:{name}:{name}"


def _history(client: "SFNClient", execution_arn: str) -> list[dict[str, Any]]:
    pages = client.get_paginator("get_execution_history").paginate(executionArn=execution_arn)
    return [dict(event) for page in pages for event in page["events"]]


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
