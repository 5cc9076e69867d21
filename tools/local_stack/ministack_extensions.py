"""Run ministack with additions for the local stack: one patch per function, each with its reason.

The reasons are checked against ministack 1.5.33, the newest. Step Functions and Lambda are emulated from
documentation.

For the local cloud's own Python: standard library and ministack only.
"""

import asyncio
import contextvars
import json
import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from ministack import app
from ministack.core.responses import json_response, now_iso
from ministack.services import apigateway_v1 as gateway
from ministack.services import cloudformation
from ministack.services import lambda_svc as functions
from ministack.services import stepfunctions as engine
from ministack.services.cloudformation import provisioners

from local_stack.ministack_redrive import Execution, Resumed, record_of, redrive_execution

DATA_LIMIT = 256 * 1024
"""Maximum bytes of a state's output."""

_started_versions: dict[str, str] = {}
"""The version with which an execution was started, by the execution's key, until it runs."""


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


def _time_out(execution: Execution) -> None:
    """Time out an execution that exceeds the limit of its definition."""
    if execution["status"] != "RUNNING":
        return
    execution.update(status="TIMED_OUT", stopDate=now_iso())
    engine._add_event(execution, "ExecutionTimedOut", {"executionTimedOutEventDetails": {}})
    engine._emit_execution_status_event(execution)


def _require_passable(data: object) -> None:
    """Raise if the data exceeds the payload limit."""
    if len(json.dumps(data, ensure_ascii=False).encode()) > DATA_LIMIT:
        raise engine._ExecutionError("States.DataLimitExceeded", f"more than {DATA_LIMIT} bytes")


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


def _add_redrive() -> None:
    """ministack has no RedriveExecution."""
    handle = engine.handle_request

    async def answer(method: str, path: str, headers: dict[str, str], body: bytes, query: Any) -> Any:  # noqa: ANN401
        if not headers.get("x-amz-target", "").endswith(".RedriveExecution"):
            return await handle(method, path, headers, body, query)
        return engine._finalize_response(redrive_execution(json.loads(body)))

    engine.handle_request = answer


def _describe_redrives_and_versions() -> None:
    """ministack describes an execution without redrives, and its state machine as the version that runs."""
    describe = engine._describe_execution

    def described(data: dict[str, Any]) -> Any:  # noqa: ANN401 - ministack's response
        execution = engine._executions.get(data.get("executionArn"))
        status, headers, body = describe(data)
        if execution is None:
            return status, headers, body
        count, date = execution.get("redriveCount", 0), execution.get("redriveDate")
        answer = _unqualified(json.loads(body)) | {"redriveCount": count}
        if execution["stateMachineArn"] in engine._state_machine_versions:
            answer["stateMachineVersionArn"] = execution["stateMachineArn"]
        return json_response({**answer, **({"redriveDate": date} if date else {})})

    engine._describe_execution = described


def _name_the_machine_in_events() -> None:
    """The event of an execution's end has the ARN of the state machine, without a version."""
    emit = engine._emit_execution_status_event
    engine._emit_execution_status_event = lambda execution: emit(_unqualified(record_of(execution)))


def _run_versions_in_time() -> None:
    """ministack runs the current definition, and ignores the `TimeoutSeconds` of a whole execution."""
    run = engine._run_execution

    def run_in_time(key: str) -> None:
        execution = engine._executions[key]
        if key in _started_versions:
            execution["stateMachineArn"] = _started_versions.pop(key)
        machine = engine._state_machines[execution["stateMachineArn"]]
        timer = threading.Timer(
            json.loads(machine["definition"]).get("TimeoutSeconds", threading.TIMEOUT_MAX),
            contextvars.copy_context().run,
            (_time_out, record_of(execution)),
        )
        timer.daemon = True
        timer.start()
        try:
            run(key)
        finally:
            timer.cancel()
            if isinstance(execution, Resumed):
                del engine._executions[key]

    engine._run_execution = run_in_time


def _start_once() -> None:
    """ministack refuses a repeated StartExecution, which AWS answers while it runs; and runs no version."""
    start = engine._start_execution

    def start_once(data: dict[str, Any]) -> Any:  # noqa: ANN401 - ministack's response
        machine_arn = engine._resolve_state_machine_arn(data.get("stateMachineArn", ""))
        if machine_arn is None:
            return start(data)
        named = {"name": str(uuid4()), **data}
        key = f"{machine_arn.replace(':stateMachine:', ':execution:')}:{named['name']}"
        running = engine._executions.get(key)
        if running and running["status"] == "RUNNING" and running["input"] == data.get("input", "{}"):
            return json_response({"executionArn": key, "startDate": running["startDate"]})
        if running is None and (version := _version_named(data["stateMachineArn"])):
            _started_versions[key] = version
        return start(named)

    engine._start_execution = start_once


def _limit_the_data() -> None:
    """A state's data above 256 KiB is `States.DataLimitExceeded`; ministack has no limit."""
    call, run_map = engine._call_lambda, engine._run_map_items

    def call_lambda(function: str, event: Any) -> Any:  # noqa: ANN401 - any request and response
        _require_passable(event)
        answer = call(function, event)
        _require_passable(answer)
        return answer

    def run_map_items(state: Any, data: Any, execution: Execution, context: Any) -> Any:  # noqa: ANN401
        output, following = run_map(state, data, execution, context)
        _require_passable(output)
        return output, following

    engine._call_lambda, engine._run_map_items = call_lambda, run_map_items


def _let_no_wildcard_match_exact_errors() -> None:
    """On AWS, `States.ALL` and `States.TaskFailed` do not match some errors; in ministack they do."""
    matches = engine._error_matches

    def matching(error_equals: list[str], error: str) -> bool:
        if error in ("States.DataLimitExceeded", "States.Runtime"):
            return error in error_equals
        return bool(matches(error_equals, error))

    engine._error_matches = matching


def _invoke_nothing_after_the_end() -> None:
    """The threads of a stopped execution go on in ministack; they must not invoke another function."""
    execute = engine._execute_task

    def execute_task(state: Any, data: Any, execution: Execution, context: Any) -> Any:  # noqa: ANN401
        if execution["status"] != "RUNNING":
            raise engine._ExecutionError("States.Aborted", "the execution is over")
        return execute(state, data, execution, context)

    engine._execute_task = execute_task


def _reserve_for_versions() -> None:
    """A function's reserved concurrency applies to its versions, too."""
    acquire = functions._acquire_execution_slot

    def acquire_slot(function: dict[str, Any], config: dict[str, Any]) -> Any:  # noqa: ANN401 - ministack's
        whole = functions._functions.get(config["FunctionName"]) or function
        return acquire(function | {"concurrency": whole.get("concurrency")}, config)

    functions._acquire_execution_slot = acquire_slot


def _name_throttles() -> None:
    """For Step Functions, a throttled function is `Lambda.TooManyRequestsException`."""
    throttle = functions._throttle_response

    def throttled(*arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401 - ministack's
        answer = throttle(*arguments, **keywords)
        return answer | {"body": answer["body"] | {"errorType": "Lambda.TooManyRequestsException"}}

    functions._throttle_response = throttled


def install() -> None:
    """Apply every patch."""
    _accept_resources()
    _apply_settings_of_methods()
    _import_gateway_responses()
    _answer_when_deleted()
    _add_redrive()
    _describe_redrives_and_versions()
    _name_the_machine_in_events()
    _run_versions_in_time()
    _start_once()
    _limit_the_data()
    _let_no_wildcard_match_exact_errors()
    _invoke_nothing_after_the_end()
    _reserve_for_versions()
    _name_throttles()


if __name__ == "__main__":
    install()
    app.main()
