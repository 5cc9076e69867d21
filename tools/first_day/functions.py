"""Beliefs about Lambda: the services that functions reach, their login, aliases, and names of errors."""

import io
import json
import re
import zipfile

from checks.template.endpoints import requests_in_vpc
from local_stack.builds import REPOSITORY
from release.connections import our_template

from .belief import Answer, NotTriedError, belief, held_if
from .stack import Stack


@belief("cloudformation.ListStackResources", "lambda.GetFunctionConfiguration", smoke=True)
def aliases(stack: Stack) -> Answer:
    """Every alias runs a version that is active; its snapshot is ready, if it has one."""
    faults = []
    for logical_id, name in stack.functions.items():
        version = stack.client("lambda").get_function_configuration(FunctionName=name, Qualifier="live")
        snapshot = version.get("SnapStart", {})
        states = [version.get("State"), version.get("LastUpdateStatus", "Successful")]
        if snapshot.get("ApplyOn", "None") != "None":
            states.append(f"snapshot {snapshot['OptimizationStatus']}")
        if not {"Active", "Successful", "snapshot On"}.issuperset(states):
            faults.append(f"{logical_id}: {', '.join(map(str, states))}")
    return held_if(stack.functions and not faults, "; ".join(faults) or "all are active")


@belief("cloudformation.ListStackResources", "lambda.Invoke", smoke=True)
def database(stack: Stack) -> Answer:
    """A function logs in to the database: the proxy, its IAM login and TLS accept it."""
    answer, fault = stack.invoke(stack.alias("MigrateDatabaseFunction"), {"dry_run": True})
    return held_if(not fault and answer["before"] == answer["after"], fault or answer)


@belief("cloudformation.DescribeStacks", "cloudformation.ListStackResources", "lambda.Invoke", smoke=True)
def endpoints(stack: Stack) -> Answer:
    """Each function in the VPC reaches every service that its own code calls."""
    faults, connections = [], 0
    for function, operations in requests_in_vpc(our_template(), stack.parameters).items():
        services = sorted({operation.service for operation in operations})
        answer, fault = stack.invoke(stack.alias(function), {"keep_awake": True, "services": services})
        if fault:
            faults.append(f"{function}: {fault}")
            continue
        faults += [f"{function}, {service}: {said}" for service, said in answer.items() if said != "reached"]
        connections += len(answer)
    return held_if(not faults and connections, "; ".join(faults) or f"{connections} connections")


SLOW_OR_LARGE = b"""
def handler(event, context):
    kept = []
    while True:
        kept.extend([bytes(event["bytes"])] * bool(event["bytes"]))
"""
SIZES = (0, 50_000_000)
"""The bytes that the function takes in each round: it runs out of time, or of memory."""


def retried() -> set[str]:
    """The error names that every step of the state machine retries."""
    definition = (REPOSITORY / "statemachine/save_content.asl.json").read_text()
    groups = [
        set(json.loads(each)) for each in re.findall(r'"ErrorEquals": (\[[^]]*Sandbox[^]]*\])', definition)
    ]
    return set.intersection(*groups)


@belief(
    "cloudformation.ListStackResources",
    "lambda.GetFunctionConfiguration",
    "lambda.CreateFunction",
    "lambda.Invoke",
    "lambda.DeleteFunction",
    only_aws="the local cloud names errors as we believe",
)
def error_names(stack: Stack) -> Answer:
    """Errors of a function without time, and of one without memory, have names that each step retries."""
    client, name = stack.client("lambda"), f"{stack.name}-first-day"[-64:]
    role = client.get_function_configuration(FunctionName=stack.functions["ConsoleFunction"])["Role"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("app.py", SLOW_OR_LARGE)
    stack.before("lambda.DeleteFunction", FunctionName=name)
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

    if not stack.until(is_active, 60):
        raise NotTriedError("a new function was not active within a minute")
    faults = [stack.invoke(name, {"bytes": size})[1] for size in SIZES]
    names = {fault.partition(":")[0] for fault in faults}
    return held_if(names <= retried(), "; ".join(faults))
