"""Run ministack with additional behaviour of Step Functions and Lambda.

Emulated from documentation: RedriveExecution (`redrive_rules`); versions and aliases of state machines, whose
executions keep their version when they are redriven; TestState (`state_tests`); the timeout of a whole
execution (`TimeoutSeconds` of the definition); StartExecution being idempotent while the execution runs; an
execution that has ended invoking nothing more; a state's data above 256 KiB being `States.DataLimitExceeded`,
which `States.ALL` does not match; a throttled function being `Lambda.TooManyRequestsException`, and its
reserved concurrency applying to its versions; the iterations of a Map in the history (`map_history`); API
Gateway's settings of one method, whose path has `~1` for a slash; the gateway responses of an OpenAPI body.
ministack handles all other calls.

Two operations do not exist on AWS. They are for fault tests, so that these need not change a definition:
`TimeOutExecution` makes an execution time out, and `LimitMapOutput` lowers the limit on the data that a Map
hands over.

Not emulated: after a redrive of a Map, every iteration runs again, not only the failed ones; and variables
(Assign) are not restored, but the product's state machine has none.

For the local cloud's own Python: standard library and ministack only.
"""

import asyncio
import contextvars
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from ministack import app
from ministack.core.responses import error_response_json, json_response, now_iso
from ministack.services import apigateway_v1 as gateway
from ministack.services import cloudformation
from ministack.services import lambda_svc as functions
from ministack.services import s3 as storage
from ministack.services import stepfunctions as engine
from ministack.services.cloudformation import provisioners

from local_stack import map_history
from local_stack.redrive_rules import Step, derive_definition, refusal, unsuccessful_step
from local_stack.state_tests import matches, test_state

Execution = dict[str, Any]

DATA_LIMIT = 256 * 1024
"""Maximum bytes of a state's output."""


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


def _record(execution: Execution) -> Execution:
    """The recorded execution, also for a redriven one."""
    return execution.execution if isinstance(execution, Resumed) else execution


def redrive_execution(data: dict[str, Any]) -> Any:  # noqa: ANN401 - ministack's response
    """Implement RedriveExecution."""
    arn = data.get("executionArn", "")
    execution = engine._executions.get(arn)
    if execution is None:
        return error_response_json("ExecutionDoesNotExist", f"Execution {arn} not found", 400)
    # The definition of the version, if the execution was started with one.
    machine = engine._state_machines[execution["stateMachineArn"]]
    now = datetime.now(UTC)
    reason = refusal(
        execution["status"],
        started_at=datetime.fromisoformat(execution["startDate"]),
        stopped_at=datetime.fromisoformat(execution["stopDate"] or execution["startDate"]),
        events=len(execution["events"]),
        now=now,
    )
    if reason is not None:
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
    _in_background(engine._run_execution, key)
    return json_response({"redriveDate": date})


def _version_named(arn: str) -> str | None:
    """The version that runs if an execution is started with this ARN, registered as a separate state
    machine.
    """
    version_arn = engine._execution_version_arn(arn)
    if version_arn is None:
        return None
    version = engine._state_machine_versions[version_arn]
    machine = engine._state_machines[version["stateMachineArn"]]
    engine._state_machines[version_arn] = {**machine, "definition": version["definition"]}
    return str(version_arn)


def _unqualified(execution: Execution) -> Execution:
    """An execution as AWS describes it: its `stateMachineArn` contains no version."""
    arn = ":".join(execution["stateMachineArn"].split(":")[:7])
    return {**execution, "stateMachineArn": arn}


def _publish_version(_logical_id: str, properties: Any, _stack_name: str) -> tuple[str, dict[str, str]]:  # noqa: ANN401
    """Create the resource AWS::StepFunctions::StateMachineVersion."""
    _, _, body = engine._publish_state_machine_version({"stateMachineArn": properties["StateMachineArn"]})
    arn = json.loads(body)["stateMachineVersionArn"]
    return arn, {"Arn": arn}


def _point_alias(_logical_id: str, properties: Any, _stack_name: str) -> tuple[str, dict[str, str]]:  # noqa: ANN401
    """Create or update the resource AWS::StepFunctions::StateMachineAlias. The alias moves immediately."""
    version = properties["DeploymentPreference"]["StateMachineVersionArn"]
    routing = [{"stateMachineVersionArn": version, "weight": 100}]
    arn = f"{version.rpartition(':')[0]}:{properties['Name']}"
    if arn in engine._state_machine_aliases:
        engine._update_state_machine_alias({"stateMachineAliasArn": arn, "routingConfiguration": routing})
    else:
        engine._create_state_machine_alias({"name": properties["Name"], "routingConfiguration": routing})
    return arn, {"Arn": arn}


def _delete_alias(physical_id: str, *_: object, **__: object) -> None:
    engine._state_machine_aliases.pop(physical_id, None)


def _in_background(work: Callable[[str], None], argument: str) -> None:
    context = contextvars.copy_context()  # ministack keeps the account and the region in context variables
    threading.Thread(target=context.run, args=(work, argument), daemon=True).start()


def _time_out(execution: Execution) -> None:
    """Time out an execution that exceeds the limit of its definition."""
    if execution["status"] != "RUNNING":
        return
    execution.update(status="TIMED_OUT", stopDate=now_iso())
    engine._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {}})
    engine._emit_execution_status_event(execution)


def _require_passable(data: object, limit: int = DATA_LIMIT) -> None:
    """Raise if the data exceeds the payload limit."""
    if len(json.dumps(data, ensure_ascii=False).encode()) > limit:
        raise engine._ExecutionError("States.DataLimitExceeded", f"more than {limit} bytes")


NOTHING_LOCAL = (
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::CodeDeploy::Application",
    "AWS::CodeDeploy::DeploymentGroup",
    "AWS::Logs::QueryDefinition",
)
"""Resources of the template that ministack does not support and that no local part needs: they only get a
name. They include CodeDeploy's traffic shifting: locally, an alias moves immediately.
"""


def _name_only(logical_id: str, _properties: object, stack_name: str) -> tuple[str, dict[str, str]]:
    name = f"{stack_name}-{logical_id}"
    return name, {"Arn": f"arn:aws:local:::{name}"}


def _keep(physical_id: str, *_: object, **__: object) -> tuple[str, dict[str, str]]:
    return physical_id, {"Arn": f"arn:aws:local:::{physical_id}"}


def _put_again(put: Callable[[str, Any, str], Any]) -> Callable[..., Any]:
    """The update of a resource that is replaced as a whole."""

    def update(_physical_id: str, _before: Any, after: Any, stack_name: str, **_: object) -> Any:  # noqa: ANN401
        return put("", after, stack_name)

    return update


def _apply_settings_of_methods() -> None:
    """Let a stage's settings of one method apply to that method.

    In `ResourcePath`, all slashes except the first are `~1`. ministack compares it with the path as it is.
    """
    settings_of = provisioners._apigw_method_settings

    def decoded(given: Any) -> Any:  # noqa: ANN401 - ministack's
        return {
            key.replace("/~1", "/").replace("~1", "/"): value for key, value in settings_of(given).items()
        }

    provisioners._apigw_method_settings = decoded


def _import_gateway_responses() -> None:
    """Let an OpenAPI body define API Gateway's own responses; ministack ignores them there."""
    import_api = gateway._import_rest_api

    def imported(spec: Any, *arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401 - ministack's
        api_id = import_api(spec, *arguments, **keywords)
        for kind, response in (spec.get("x-amazon-apigateway-gateway-responses") or {}).items():
            gateway._put_gateway_response(api_id, kind, response)
        return api_id

    gateway._import_rest_api = imported


def _accept_resources() -> None:
    """Accept resources of the template that the local cloud does not support."""
    handlers = provisioners._RESOURCE_HANDLERS
    nothing = {"create": _name_only, "update": _keep, "delete": lambda *_, **__: None}
    for resource_type in NOTHING_LOCAL:
        handlers[resource_type] = nothing
    for resource_type, put, delete in (
        ("AWS::StepFunctions::StateMachineVersion", _publish_version, lambda *_, **__: None),
        ("AWS::StepFunctions::StateMachineAlias", _point_alias, _delete_alias),
    ):
        handlers[resource_type] = {"create": put, "update": _put_again(put), "delete": delete}
    alarm = handlers["AWS::CloudWatch::Alarm"]

    def create(logical_id: str, properties: Any, stack_name: str) -> Any:  # noqa: ANN401 - ministack's
        # Metric math is not supported.
        put = _name_only if "Metrics" in properties else alarm["create"]
        return put(logical_id, properties, stack_name)

    def update(physical_id: str, before: Any, after: Any, stack_name: str, **keywords: Any) -> Any:  # noqa: ANN401
        put = _keep if "Metrics" in after else alarm["update"]
        return put(physical_id, before, after, stack_name, **keywords)

    handlers["AWS::CloudWatch::Alarm"] = {**alarm, "create": create, "update": update}


class NotKeptError(Exception):
    """An object could not be written to the disk."""


def _report_failed_writes() -> None:
    """Let an object that cannot be kept on disk be an error of the request that puts it.

    ministack logs it and keeps the object in memory: it would be gone with the next start.
    """
    write, persist, handle = storage._atomic_write, storage._persist_object, storage.handle_request
    failures: contextvars.ContextVar[list[OSError] | None] = contextvars.ContextVar("failures", default=None)

    def write_or_note(*arguments: Any, **keywords: Any) -> None:  # noqa: ANN401 - ministack's
        try:
            write(*arguments, **keywords)
        except OSError as error:
            if (noted := failures.get()) is not None:
                noted.append(error)
            raise

    def persist_or_fail(bucket: str, key: str, record: Any) -> None:  # noqa: ANN401 - ministack's
        noted: list[OSError] = []
        before = failures.set(noted)
        try:
            persist(bucket, key, record)
        finally:
            failures.reset(before)
        if noted:
            raise NotKeptError(noted[0].strerror)

    async def answer(*arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401 - ministack's
        try:
            return await handle(*arguments, **keywords)
        except NotKeptError as error:
            return storage._error("NotKept", f"the local cloud cannot write the object: {error}", 507)

    storage._atomic_write, storage._persist_object = write_or_note, persist_or_fail
    storage.handle_request = answer


def _answer_when_deleted() -> None:
    """Let `DescribeStacks` wait for the end of a deletion: `sam delete` asks again only after 30 s."""
    handle = cloudformation.handle_request

    async def answer(*arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401 - ministack's
        answered = await handle(*arguments, **keywords)
        while b"<StackStatus>DELETE_IN_PROGRESS" in answered[2]:
            await asyncio.sleep(0.1)
            answered = await handle(*arguments, **keywords)
        return answered

    cloudformation.handle_request = answer


def install() -> None:
    """Install the emulated behaviour before ministack's own."""
    map_history.install()
    call_lambda = engine._call_lambda
    execute_task = engine._execute_task
    run_map_items = engine._run_map_items
    acquire_slot = functions._acquire_execution_slot
    throttle = functions._throttle_response
    handle_request = engine.handle_request
    describe_execution = engine._describe_execution
    emit_status = engine._emit_execution_status_event
    run_execution = engine._run_execution
    start_execution = engine._start_execution

    map_output_limit = DATA_LIMIT

    def time_out_execution(data: dict[str, Any]) -> Any:  # noqa: ANN401 - ministack's response
        _time_out(engine._executions[data["executionArn"]])
        return json_response({})

    def limit_map_output(data: dict[str, Any]) -> Any:  # noqa: ANN401 - ministack's response
        nonlocal map_output_limit
        before, map_output_limit = map_output_limit, data["bytes"]
        return json_response({"bytes": before})

    operations: dict[str, Callable[[dict[str, Any]], Any]] = {
        "RedriveExecution": redrive_execution,
        "TestState": lambda data: test_state(data, engine._test_state),
        "TimeOutExecution": time_out_execution,
        "LimitMapOutput": limit_map_output,
    }

    async def handle(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Any:  # noqa: ANN401
        operation = operations.get(headers.get("x-amz-target", "").rpartition(".")[2])
        if operation is None:
            return await handle_request(method, path, headers, body, query)
        return engine._finalize_response(operation(json.loads(body)))

    def describe(data: dict[str, Any]) -> Any:  # noqa: ANN401 - ministack's response
        execution = engine._executions.get(data.get("executionArn"))
        status, headers, body = describe_execution(data)
        if execution is None:
            return status, headers, body
        count, date = execution.get("redriveCount", 0), execution.get("redriveDate")
        described = _unqualified(json.loads(body)) | {"redriveCount": count}
        if execution["stateMachineArn"] in engine._state_machine_versions:
            described["stateMachineVersionArn"] = execution["stateMachineArn"]
        return json_response({**described, **({"redriveDate": date} if date else {})})

    def emit(execution: Execution) -> None:
        emit_status(_unqualified(_record(execution)))

    versions: dict[str, str] = {}

    def run(key: str) -> None:
        execution = engine._executions[key]
        if key in versions:
            execution["stateMachineArn"] = versions.pop(key)
        machine = engine._state_machines[execution["stateMachineArn"]]
        seconds = json.loads(machine["definition"]).get("TimeoutSeconds")
        timer = threading.Timer(
            threading.TIMEOUT_MAX if seconds is None else seconds,
            contextvars.copy_context().run,
            (_time_out, _record(execution)),
        )
        timer.daemon = True
        timer.start()
        try:
            run_execution(key)
        finally:
            timer.cancel()
            if isinstance(execution, Resumed):
                del engine._executions[key]

    def start(data: dict[str, Any]) -> Any:  # noqa: ANN401 - ministack's response
        asked = data.get("stateMachineArn", "")
        machine_arn = engine._resolve_state_machine_arn(asked)
        if machine_arn is not None and "name" in data:
            prefix = machine_arn.replace(":stateMachine:", ":execution:")
            running = engine._executions.get(f"{prefix}:{data['name']}")
            same = running is not None and running["input"] == data.get("input", "{}")
            if same and running["status"] == "RUNNING":
                return json_response(
                    {"executionArn": running["executionArn"], "startDate": running["startDate"]}
                )
        if version := _version_named(asked):
            data = {"name": str(uuid4()), **data}
            prefix = machine_arn.replace(":stateMachine:", ":execution:")
            versions[f"{prefix}:{data['name']}"] = version
        return start_execution(data)

    def call(function: str, event: Any) -> Any:  # noqa: ANN401 - any request and response
        _require_passable(event)
        answer = call_lambda(function, event)
        _require_passable(answer)
        return answer

    def task(state: Any, data: Any, execution: Execution, context: Any) -> Any:  # noqa: ANN401 - ministack's
        if execution["status"] != "RUNNING":
            raise engine._ExecutionError("States.Aborted", "the execution is over")
        return execute_task(state, data, execution, context)

    def acquire(function: dict[str, Any], config: dict[str, Any]) -> Any:  # noqa: ANN401 - ministack's
        whole = functions._functions.get(config["FunctionName"]) or function
        return acquire_slot(function | {"concurrency": whole.get("concurrency")}, config)

    def name_throttle(*arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401 - ministack's
        answer = throttle(*arguments, **keywords)
        return answer | {"body": answer["body"] | {"errorType": "Lambda.TooManyRequestsException"}}

    def run_map(state: Any, data: Any, execution: Execution, context: Any) -> Any:  # noqa: ANN401 - ministack's
        output, following = run_map_items(state, data, execution, context)
        _require_passable(output, map_output_limit)
        return output, following

    _accept_resources()
    _apply_settings_of_methods()
    _import_gateway_responses()
    _report_failed_writes()
    _answer_when_deleted()
    engine.handle_request = handle
    engine._execute_task = task
    engine._error_matches = matches
    engine._run_map_items = run_map
    functions._acquire_execution_slot = acquire
    functions._throttle_response = name_throttle
    engine._call_lambda = call
    engine._describe_execution = describe
    engine._emit_execution_status_event = emit
    engine._run_execution = run
    engine._start_execution = start


if __name__ == "__main__":
    install()
    app.main()
