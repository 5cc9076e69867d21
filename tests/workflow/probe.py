"""A function that does what a test tells it, and a state machine around it: `probe/`, deployed."""

import json
from pathlib import Path
from typing import Any

from local.cloud import Cloud
from local.deploy import PythonRuntime, create_stack, functions_of, package, read_template
from local.environment import environment_python
from local.layer import build_layer
from local.processes import becomes_true

FOLDER = Path(__file__).parent / "probe"


class Probe:
    """The probe's stack, deployed."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        cloudformation = cloud.client("cloudformation")
        self.outputs = create_stack(cloudformation, "probe", packaged_probe(cloud), {"Greeting": "hello"})
        self.functions = functions_of(cloudformation, "probe")

    def invoke(self, **event: object) -> dict[str, Any]:
        """Invoke the function."""
        answer = self.cloud.client("lambda").invoke(
            FunctionName=self.outputs["Probe"], Payload=json.dumps(event)
        )
        result: dict[str, Any] = json.load(answer["Payload"])
        return result

    def run(self, *events: dict[str, object]) -> list[Any]:
        """Run the state machine over events; its output."""
        client = self.cloud.client("stepfunctions")
        arn = client.start_execution(
            stateMachineArn=self.outputs["StateMachineArn"], input=json.dumps(events)
        )["executionArn"]
        found: dict[str, Any] = {}

        def is_over() -> bool:
            found.update(client.describe_execution(executionArn=arn))
            return bool(found["status"] != "RUNNING")

        assert becomes_true(is_over, 60)
        assert found["status"] == "SUCCEEDED", found
        output: list[Any] = json.loads(found["output"])
        return output


