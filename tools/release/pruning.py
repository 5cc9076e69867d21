"""Remove the releases of a stack that nothing can run any more.

Each release publishes a version of every function, layer and state machine. CloudFormation keeps them all, so
that traffic can go back, and a redriven execution has the versions that it began with. AWS bills snapshots.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from .clients import Clients

KEPT = 3
"""The releases that are kept, used or not."""

REDRIVABLE = timedelta(days=15)
"""Step Functions redrives an execution for 14 days after its end; a day more, for clocks."""

_ENDED = ("FAILED", "TIMED_OUT", "ABORTED")
"""The ends of an execution that can be redriven."""


def removable(versions: Iterable[int], used: Collection[int], keep: int) -> list[int]:
    """The versions that are neither among the newest nor used, the oldest first. No I/O."""
    oldest_first = sorted(versions)
    return [version for version in oldest_first[: max(0, len(oldest_first) - keep)] if version not in used]


def prune(clients: Clients, stack: str, keep: int = KEPT) -> Iterator[str]:
    """Remove the removable versions, and name each.

    State machines first: the versions that remain name the versions of functions that they invoke, which name
    those of layers. No version is removed that an alias, a running execution or a redrivable one uses.
    """
    functions: set[str] = set()
    for machine in _physical_ids(clients, stack, "AWS::StepFunctions::StateMachine"):
        yield from _prune_machine(clients, machine, keep, functions)
    layers: set[str] = set()
    for name in _physical_ids(clients, stack, "AWS::Lambda::Function"):
        yield from _prune_function(clients, name, keep, functions, layers)
    for arn in _physical_ids(clients, stack, "AWS::Lambda::LayerVersion"):
        yield from _prune_layer(clients, arn.rpartition(":")[0], keep, layers)


def _prune_machine(clients: Clients, machine: str, keep: int, functions: set[str]) -> Iterator[str]:
    """Add the versions of functions that the remaining versions name to `functions`."""
    client = clients("stepfunctions", "")
    # These two operations have no paginator.
    versions = _all(client.list_state_machine_versions, "stateMachineVersions", stateMachineArn=machine)
    numbers = {_number(each["stateMachineVersionArn"]) for each in versions}
    used = {_number(arn) for arn in _used_versions(client, machine)}
    removed = removable(numbers, used, keep)
    for number in removed:
        client.delete_state_machine_version(stateMachineVersionArn=f"{machine}:{number}")
        yield f"{machine.rpartition(':')[2]}:{number}"
    for arn in (machine, *(f"{machine}:{number}" for number in numbers.difference(removed))):
        definition = client.describe_state_machine(stateMachineArn=arn)["definition"]
        functions.update(re.findall(r":function:([\w-]+:\d+)", definition))


def _used_versions(client: Any, machine: str) -> Iterator[str]:  # noqa: ANN401
    """The versions that an alias names, or an execution that runs or can be redriven."""
    for alias in _all(client.list_state_machine_aliases, "stateMachineAliases", stateMachineArn=machine):
        described = client.describe_state_machine_alias(stateMachineAliasArn=alias["stateMachineAliasArn"])
        yield from (route["stateMachineVersionArn"] for route in described["routingConfiguration"])
    since = datetime.now(UTC) - REDRIVABLE
    for status in ("RUNNING", *_ENDED):
        # A redriven execution keeps its start while its end moves, so no page can be the last one. Few large
        # pages: the quota of ListExecutions is small.
        pages = client.get_paginator("list_executions").paginate(
            stateMachineArn=machine, statusFilter=status, PaginationConfig={"PageSize": 1_000}
        )
        for execution in (execution for page in pages for execution in page["executions"]):
            if "stateMachineVersionArn" in execution and execution.get("stopDate", since) >= since:
                yield execution["stateMachineVersionArn"]


def _prune_function(
    clients: Clients, name: str, keep: int, used_by_machines: Collection[str], layers: set[str]
) -> Iterator[str]:
    """Add the layers of the remaining versions to `layers`."""
    client = clients("lambda", "")
    pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=name)
    versions = {version["Version"]: version for page in pages for version in page["Versions"]}
    used = {
        int(function.rpartition(":")[2]) for function in used_by_machines if function.startswith(f"{name}:")
    }
    for page in client.get_paginator("list_aliases").paginate(FunctionName=name):
        for alias in page["Aliases"]:
            weights = alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
            used |= {int(number) for number in (alias["FunctionVersion"], *weights) if number.isdigit()}
    for number in removable((int(version) for version in versions if version.isdigit()), used, keep):
        client.delete_function(FunctionName=name, Qualifier=str(number))
        del versions[str(number)]
        yield f"{name}:{number}"
    layers.update(layer["Arn"] for version in versions.values() for layer in version.get("Layers", ()))


def _prune_layer(clients: Clients, layer: str, keep: int, used: Collection[str]) -> Iterator[str]:
    client = clients("lambda", "")
    pages = client.get_paginator("list_layer_versions").paginate(LayerName=layer)
    numbers = [version["Version"] for page in pages for version in page["LayerVersions"]]
    in_use = {number for number in numbers if f"{layer}:{number}" in used}
    for number in removable(numbers, in_use, keep):
        client.delete_layer_version(LayerName=layer, VersionNumber=number)
        yield f"{layer.rpartition(':')[2]}:{number}"


def _physical_ids(clients: Clients, stack: str, kind: str) -> list[str]:
    pages = clients("cloudformation", "").get_paginator("list_stack_resources").paginate(StackName=stack)
    resources = [resource for page in pages for resource in page["StackResourceSummaries"]]
    return [resource["PhysicalResourceId"] for resource in resources if resource["ResourceType"] == kind]


def _all(operation: Any, key: str, **request: str) -> Iterator[Mapping[str, Any]]:  # noqa: ANN401
    """Everything that an operation without a paginator lists."""
    while True:
        answer = operation(**request)
        yield from answer[key]
        if not answer.get("nextToken"):
            return
        request["nextToken"] = answer["nextToken"]


def _number(arn: str) -> int:
    return int(arn.rpartition(":")[2])
