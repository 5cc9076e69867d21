"""RedriveExecution for ministack, with the rules of `redrive_rules`. Emulated from documentation.

Not emulated: the limits of time and of events; after a redrive of a Map, every iteration runs again, not only
the failed ones; and variables (Assign) are not restored, but the product's state machine has none.

For the local cloud's own Python: standard library and ministack only.
"""

import contextvars
import json
import threading
from typing import Any

from ministack.core.responses import error_response_json, json_response, now_iso
from ministack.services import stepfunctions as engine

from local_stack.redrive_rules import REDRIVABLE_STATUSES, Step, derive_definition, unsuccessful_step

Execution = dict[str, Any]


class Resumed(dict[str, Any]):
    """A redriven execution for the engine: another definition and input, but the same record."""

    def __init__(self, execution: Execution, state_machine_arn: str, data: str) -> None:
        super().__init__()
        self.execution = execution
        self._own = {"stateMachineArn": state_machine_arn, "input": data}

    def __bool__(self) -> bool:
        """True, because the engine treats an empty execution as missing."""
        return True

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - as of the record
        return self._own[key] if key in self._own else self.execution[key]

    def __setitem__(self, key: str, value: Any) -> None:  # noqa: ANN401 - as of the record
        self.execution[key] = value

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - as of the record
        """The value of a key in the record."""
        return self._own.get(key, self.execution.get(key, default))


def record_of(execution: Execution) -> Execution:
    """The recorded execution, also for a redriven one."""
    return execution.execution if isinstance(execution, Resumed) else execution


def redrive_execution(data: dict[str, Any]) -> Any:  # noqa: ANN401 - ministack's response
    """Answer RedriveExecution."""
    arn = data.get("executionArn", "")
    execution = engine._executions.get(arn)
    if execution is None:
        return error_response_json("ExecutionDoesNotExist", f"Execution {arn} not found", 400)
    # The definition of the version, if the execution was started with one.
    machine = engine._state_machines[execution["stateMachineArn"]]
    if execution["status"] not in REDRIVABLE_STATUSES:
        reason = f"Execution is {execution['status']} and cannot be redriven"
        return error_response_json("ExecutionNotRedrivable", reason, 400)

    definition = json.loads(machine["definition"])
    step = unsuccessful_step(execution["events"], definition) or Step(
        definition["StartAt"], execution["input"]
    )
    count = execution.get("redriveCount", 0) + 1
    date = now_iso()
    context = {
        "Id": arn,
        "Name": execution["name"],
        "Input": json.loads(execution["input"]),
        "RoleArn": machine["roleArn"],
        "StartTime": execution["startDate"],
        "RedriveCount": count,
        "RedriveTime": date,
    }
    derived_arn = f"{execution['stateMachineArn']}:redrive:{execution['name']}:{count}"
    derived = derive_definition(definition, step.state, context)
    engine._state_machines[derived_arn] = {**machine, "definition": json.dumps(derived)}
    key = f"{arn}:redrive:{count}"
    engine._executions[key] = Resumed(execution, derived_arn, step.input)

    execution.update(status="RUNNING", stopDate=None, output=None, redriveCount=count, redriveDate=date)
    execution.pop("error", None)
    execution.pop("cause", None)
    engine._add_event(
        execution, "ExecutionRedriven", {"executionRedrivenEventDetails": {"redriveCount": count}}
    )
    engine._emit_execution_status_event(execution)
    copy = contextvars.copy_context()  # ministack keeps the account and the region in context variables
    threading.Thread(target=copy.run, args=(engine._run_execution, key), daemon=True).start()
    return json_response({"redriveDate": date})
