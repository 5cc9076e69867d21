"""Beliefs about Lambda: what functions reach, their login, their aliases, the names of their errors."""

import io
import zipfile
from collections.abc import Mapping

from botocore.exceptions import ClientError

from checks.template.endpoints import requests_in_vpc
from local_stack.template_file import Template
from release.connections import our_template

from .belief import Answer, Belief, NotTriedError, held_if

_INVOKING = ("cloudformation.DescribeStacks", "cloudformation.ListStackResources", "lambda.Invoke")


class ServicesAreReached(Belief):
    """Each function in the VPC reaches every service that its own code calls."""

    name = "endpoints"
    plan = _INVOKING
    smoke = local = True

    def attempt(self) -> Answer:
        template: Template = our_template()
        faults, connections = [], 0
        for function, operations in requests_in_vpc(template, self.stack.parameters).items():
            services = sorted({operation.service for operation in operations})
            answer, failed = self.stack.invoke(function, {"keep_awake": True, "services": services})
            if failed:
                faults.append(f"{function}: {answer.get('errorType')}: {answer.get('errorMessage')}")
                continue
            faults += [f"{function}, {each}: {said}" for each, said in answer.items() if said != "reached"]
            connections += len(answer)
        return held_if(not faults and connections, "; ".join(faults) or f"{connections} connections")


class DatabaseIsReached(Belief):
    """A function logs in to the database: the proxy, its IAM login and TLS accept it."""

    name = "database"
    plan = _INVOKING[1:]
    smoke = local = True

    def attempt(self) -> Answer:
        answer, failed = self.stack.invoke("MigrateDatabaseFunction", {"dry_run": True})
        said = f"{answer.get('errorType')}: {answer.get('errorMessage')}" if failed else answer
        return held_if(not failed and answer["before"] == answer["after"], said)


class AliasesAreActive(Belief):
    """Every alias runs a version that is active; its snapshot is ready, if it has one."""

    name = "aliases"
    plan = ("cloudformation.ListStackResources", "lambda.GetFunctionConfiguration")
    smoke = local = True

    def attempt(self) -> Answer:
        faults = []
        for logical_id, name in self.stack.functions.items():
            version = self.stack.client("lambda").get_function_configuration(
                FunctionName=name, Qualifier="live"
            )
            snapshot = version.get("SnapStart", {})
            states = [version.get("State"), version.get("LastUpdateStatus", "Successful")]
            if snapshot.get("ApplyOn", "None") != "None":
                states.append(f"snapshot {snapshot['OptimizationStatus']}")
            if not {"Active", "Successful", "snapshot On"}.issuperset(states):
                faults.append(f"{logical_id}: {', '.join(map(str, states))}")
        return held_if(self.stack.functions and not faults, "; ".join(faults) or "all are active")


SLOW_OR_LARGE = b"""
def handler(event, context):
    kept = []
    while True:
        kept.extend([bytes(event["bytes"])] * bool(event["bytes"]))
"""


class ErrorsHaveTheirNames(Belief):
    """A timeout is `Sandbox.Timedout`, and a lack of memory `Runtime.ExitError` or `Runtime.OutOfMemory`."""

    name = "error_names"
    plan = (
        "cloudformation.ListStackResources",
        "lambda.GetFunctionConfiguration",
        "lambda.CreateFunction",
        "lambda.Invoke",
        "lambda.DeleteFunction",
    )
    expected: Mapping[int, tuple[str, ...]] = {
        0: ("Sandbox.Timedout",),
        50_000_000: ("Runtime.ExitError", "Runtime.OutOfMemory"),
    }
    """By the bytes that the function takes in each round."""

    def attempt(self) -> Answer:
        client, name = self.stack.client("lambda"), f"{self.stack.name}-first-day"[-64:]
        role = client.get_function_configuration(FunctionName=self.stack.functions["ConsoleFunction"])["Role"]
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("app.py", SLOW_OR_LARGE)
        self.making(function=name)
        client.create_function(
            FunctionName=name,
            Runtime="python3.13",
            Handler="app.handler",
            Role=role,
            Timeout=3,
            MemorySize=128,
            Code={"ZipFile": code.getvalue()},
        )

        def is_active() -> bool:
            return bool(client.get_function_configuration(FunctionName=name)["State"] == "Active")

        if not self.stack.until(is_active, 60):
            raise NotTriedError("a new function was not active within a minute")
        said = {
            size: str(self.stack.invoke_named(name, {"bytes": size})[0].get("errorType"))
            for size in self.expected
        }
        as_believed = all(said[size] in names for size, names in self.expected.items())
        return held_if(as_believed, ", ".join(said.values()))

    def undo(self, made: Mapping[str, str]) -> None:
        try:
            self.stack.client("lambda").delete_function(FunctionName=made["function"])
        except ClientError as error:
            if error.response["Error"]["Code"] != "ResourceNotFoundException":
                raise
