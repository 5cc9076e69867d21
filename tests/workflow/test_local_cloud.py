"""The local cloud does what the tests on it rely on, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from local.builds import REPOSITORY
from local.cloud import Cloud
from local.deploy import (
    PythonRuntime,
    StackFailedError,
    create_stack,
    delete_stack,
    functions_of,
    package,
    read_template,
)
from local.environment import environment_python
from local.errors import NoStackError
from local.layer import build_layer
from local.processes import HOST, becomes_true, has_ended
from local.stack import LocalStack, StackRunningError

PROBE = Path(__file__).parent / "probe"

START = """
import signal, sys
from pathlib import Path
from local.stack import LocalStack

stack = LocalStack.start(Path(sys.argv[1]), detached=sys.argv[2] == "detached")
print(stack.cloud.process.pid, stack.database.pid, flush=True)
signal.pause()
"""


def packaged_probe(cloud: Cloud) -> dict[str, Any]:
    runtime = PythonRuntime(environment_python("runtime"), build_layer())
    return package(
        read_template(PROBE / "template.yaml"), PROBE, runtime, cloud.client("s3"), "artifacts"
    )


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


@pytest.fixture(scope="module")
def probe(stack: LocalStack) -> Iterator[Probe]:
    yield Probe(stack.cloud)
    delete_stack(stack.client("cloudformation"), "probe")


@pytest.mark.parametrize(
    ("told", "caught"),
    [
        ("raise", "by the exception's name"),
        ("die", "by the death of the process"),
        ("hang", "by the timeout"),
    ],
)
def test_an_error_has_the_name_that_lambda_gives_it(probe: Probe, told: str, caught: str) -> None:
    assert probe.run({"do": told}) == [caught]


def test_a_function_whose_process_died_works_again(probe: Probe) -> None:
    assert probe.invoke(do="die")["errorType"] == "Runtime.ExitError"
    assert probe.invoke(do="look")["greeting"] == "hello"


def test_ten_iterations_run_at_the_same_time(probe: Probe, tmp_path: Path) -> None:
    event = {"do": "meet", "place": str(tmp_path), "guests": 10}
    assert probe.run(*[event] * 10) == [10] * 10


def test_a_function_stays_warm(probe: Probe) -> None:
    assert probe.invoke(do="look")["pid"] == probe.invoke(do="look")["pid"]


def test_a_function_has_the_runtime_and_the_layer_and_nothing_else(probe: Probe) -> None:
    seen = probe.invoke(do="look")
    environment = str(environment_python("runtime").parent.parent)
    assert seen["prefix"] == environment
    assert seen["boto3"].startswith(environment)
    assert seen["layer"].startswith(str(build_layer()))
    assert seen["buckets"] > 0, "boto3 in a function reaches the cloud that runs it"


def test_a_failed_creation_names_the_resource_and_the_reason(stack: LocalStack) -> None:
    template = {
        "Resources": {
            "Logs": {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": 30}},
            "Machine": {
                "Type": "AWS::StepFunctions::StateMachine",
                "DependsOn": "Logs",
                "Properties": {"RoleArn": "arn:aws:iam::000000000000:role/r", "DefinitionString": "no JSON"},
            },
        }
    }
    with pytest.raises(StackFailedError, match="^Machine: "):
        create_stack(stack.client("cloudformation"), "broken", template, {})


def test_everything_listens_on_this_machine_alone(stack: LocalStack, probe: Probe) -> None:
    probe.invoke(do="look")
    listening = {
        connection.laddr.ip
        for process in members(stack)
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {HOST}


def test_two_stacks_beside_each_other_share_nothing_and_leave_nothing(
    stack: LocalStack, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with LocalStack.start(tmp_path_factory.mktemp("other"), fsync=False) as other:
        probe = Probe(other.cloud)
        assert probe.invoke(do="look")["greeting"] == "hello"
        assert other.database_url != stack.database_url
        names = [bucket["Name"] for bucket in stack.client("s3").list_buckets()["Buckets"]]
        assert other.bucket not in names
        processes = members(other)
    assert len(processes) > 2, "the cloud, PostgreSQL, and at least one function"
    assert all(has_ended(process) for process in processes)
    assert not (other.directory / "postgres").exists()
    assert stack.client("s3").list_buckets()["Buckets"], "the other stack is none the worse"


def members(stack: LocalStack) -> list[psutil.Process]:
    """Every process of a stack."""
    roots = [stack.cloud.process]
    if pid := getattr(stack.database, "pid", None):  # a database that we were given is not ours to look at
        roots.append(psutil.Process(pid))
    return [process for root in roots for process in (root, *root.children(recursive=True))]


def test_a_stack_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    starter = start_stack(tmp_path, "attached")
    processes = [psutil.Process(pid) for pid in starter.pids]
    starter.process.send_signal(signal.SIGKILL)
    starter.process.communicate()
    for process in processes:
        assert becomes_true(lambda process=process: has_ended(process), 60)  # type: ignore[misc]
