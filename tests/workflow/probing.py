"""The probe: a deployed function that follows instructions in its event, and a state machine around it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_stack.cloud import Cloud
from local_stack.deploy import PythonRuntime, create_stack, package, upload_template
from local_stack.environments import environment_python
from local_stack.layers import build_layers
from local_stack.processes import becomes_true
from local_stack.template_file import read_template

FOLDER = Path(__file__).parent / "probe"


class Probe:
    """The probe in a local cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        s3, runtime = cloud.client("s3"), PythonRuntime(environment_python("runtime"), build_layers())
        template = package(read_template(FOLDER / "template.yaml"), FOLDER, runtime, s3, "artifacts")
        cloudformation = cloud.client("cloudformation")
        self.outputs = create_stack(
            cloudformation, "probe", upload_template(template, s3, "artifacts"), {"Greeting": "hello"}
        )

    def invoke(self, **event: object) -> dict[str, Any]:
        answer = self.cloud.client("lambda").invoke(
            FunctionName=self.outputs["Probe"], Payload=json.dumps(event)
        )
        result: dict[str, Any] = json.load(answer["Payload"])
        return result

    def run(self, *events: Mapping[str, object]) -> list[Any]:
        """Run the state machine over a list of events; return its output."""
        started = self.cloud.client("stepfunctions").start_execution(
            stateMachineArn=self.outputs["StateMachineArn"], input=json.dumps(events)
        )
        over = await_end(self.cloud, started["executionArn"])
        assert over["status"] == "SUCCEEDED", over
        output: list[Any] = json.loads(over["output"])
        return output


def await_end(cloud: Cloud, execution_arn: str) -> dict[str, Any]:
    """Wait until an execution ends; return its description."""
    client = cloud.client("stepfunctions")
    description: dict[str, Any] = {}

    def is_over() -> bool:
        description.update(client.describe_execution(executionArn=execution_arn))
        return bool(description["status"] != "RUNNING")

    assert becomes_true(is_over, 600), description
    return description
