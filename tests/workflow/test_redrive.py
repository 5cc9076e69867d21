"""A redrive continues the execution at the failed state: emulated from documentation, because no local engine
supports it.

The rule of RedriveExecution: "it continues the failed execution from the unsuccessful step and uses the same
input", and the results of the successful steps are preserved.
"""

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_stack.stack import LocalStack
from roadmap_command.runs import start_run
from roadmap_content.contracts.items import ContentType, Item
from tests.support.machine import Machine
from tests.support.published_machine import PublishedMachine
from tests.workflow.probing import Probe, await_end

pytestmark = pytest.mark.nightly


def definition(probe: Probe, redrives: int) -> dict[str, Any]:
    """A state that must not run again, one whose error is caught, and one that fails until it is redriven."""
    task = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke"}
    function = probe.outputs["Probe"]
    payload = (
        "{% { 'do': 'await redrive', 'count': "
        f"{redrives}"
        ", 'drawn': $states.input.drawn, 'execution': $states.context.Execution } %}"
    )
    return {
        "QueryLanguage": "JSONata",
        "StartAt": "Draw",
        "States": {
            "Draw": {"Type": "Pass", "Output": {"drawn": "{% $uuid() %}"}, "Next": "Caught"},
            "Caught": {
                **task,
                "Arguments": {"FunctionName": function, "Payload": {"do": "raise"}},
                "Catch": [
                    {
                        "ErrorEquals": ["ProbeError"],
                        "Output": "{% $merge([$states.input, { 'caught': true }]) %}",
                        "Next": "AwaitRedrive",
                    }
                ],
                "Next": "NotToBeReached",
            },
            "NotToBeReached": {"Type": "Fail", "Error": "CaughtDidNotFail"},
            "AwaitRedrive": {
                **task,
                "Arguments": {"FunctionName": function, "Payload": payload},
                "Output": "{% $states.result.Payload %}",
                "End": True,
            },
        },
    }


def start(stack: LocalStack, name: str, machine: dict[str, Any]) -> str:
    client = stack.client("stepfunctions")
    arn = client.create_state_machine(
        name=name, definition=json.dumps(machine), roleArn="arn:aws:iam::000000000000:role/any"
    )["stateMachineArn"]
    started = client.start_execution(stateMachineArn=arn, name=f"{name}-1", input='{"task": "\\"a\\" %} 任"}')
    execution_arn: str = started["executionArn"]
    return execution_arn


def redrive(stack: LocalStack, execution_arn: str) -> None:
    stack.client("stepfunctions").redrive_execution(executionArn=execution_arn)


def test_each_redrive_continues_at_the_failed_state_with_its_input(stack: LocalStack, probe: Probe) -> None:
    execution_arn = start(stack, "fails-twice", definition(probe, redrives=2))
    assert await_end(stack.cloud, execution_arn)["error"] == "ProbeError"
    events = stack.client("stepfunctions").get_execution_history(executionArn=execution_arn)["events"]
    (drawn,) = [
        json.loads(event["stateExitedEventDetails"]["output"])["drawn"]
        for event in events
        if event.get("stateExitedEventDetails", {}).get("name") == "Draw"
    ]

    redrive(stack, execution_arn)
    ended = await_end(stack.cloud, execution_arn)
    assert (ended["error"], ended["redriveCount"]) == ("ProbeError", 1), (
        "RedriveCount must not cause an endless loop"
    )

    redrive(stack, execution_arn)
    output = json.loads(await_end(stack.cloud, execution_arn)["output"])
    assert output["drawn"] == drawn, "the succeeded state is not run again"
    seen = output["execution"]
    assert (seen["Id"], seen["Name"], seen["RedriveCount"]) == (execution_arn, "fails-twice-1", 2)
    assert seen["Input"] == {"task": '"a" %} 任'}

    with pytest.raises(ClientError, match=r"ExecutionNotRedrivable.*SUCCEEDED"):
        redrive(stack, execution_arn)


def test_a_redrive_keeps_the_version_that_the_run_started_with(machine: Machine) -> None:
    """A release is deployed in between: new runs use its version, the redrive does not."""
    ids = machine.load(2)
    machine.stage(Item(ids[0], ContentType.QUIZ), b"{")
    published = PublishedMachine(machine.client, machine.stack.state_machine_arn)
    live = f"{machine.stack.state_machine_arn}:live"
    arn = start_run(machine.client, live, machine.task_id)
    ended = machine.wait(arn)
    assert ended["error"] == "ContentIncomplete"

    old = published.definition
    states = {"Refuse": {"Type": "Fail", "Error": "AnotherRelease"}}
    published.redefine(json.dumps({"QueryLanguage": "JSONata", "StartAt": "Refuse", "States": states}))
    try:
        another = machine.client.start_execution(stateMachineArn=live, input="{}")["executionArn"]
        assert machine.wait(another)["error"] == "AnotherRelease"
        machine.client.redrive_execution(executionArn=arn)
        again = machine.wait(arn)
    finally:
        published.redefine(old)
    assert (again["status"], again["stateMachineVersionArn"]) == (
        "SUCCEEDED",
        ended["stateMachineVersionArn"],
    )
    assert again["stateMachineArn"] == machine.stack.state_machine_arn
    assert machine.status().status == "completed"
