"""Old releases are removed after a deployment, and none that anything can still run."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from release.clients import clients_of
from release.pruning import prune, removable
from tests.support.recorded_aws import Answer, RecordedAws

ACCOUNT = "eu-central-1:111111111111"
MACHINE = f"arn:aws:states:{ACCOUNT}:stateMachine:stack-save-content"
LAYER = f"arn:aws:lambda:{ACCOUNT}:layer:stack-common"
RELEASES = range(1, 31)


class Deployed:
    """A stack after thirty releases: a function, its layer, and the state machine that invokes it."""

    def __init__(self) -> None:
        self.machines, self.functions, self.layers = set(RELEASES), set(RELEASES), set(RELEASES)
        self.executions: list[dict[str, Any]] = []
        self.routes = [30]
        self.weights: dict[str, float] = {}
        aws = RecordedAws()
        aws.answer_with(
            {
                "cloudformation.ListStackResources": {
                    "StackResourceSummaries": [
                        resource("AWS::StepFunctions::StateMachine", MACHINE),
                        resource("AWS::Lambda::Function", "stack-save"),
                        resource("AWS::Lambda::LayerVersion", f"{LAYER}:30"),
                    ]
                },
                "stepfunctions.ListStateMachineVersions": self.list_machines,
                "stepfunctions.ListStateMachineAliases": {
                    "stateMachineAliases": [{"stateMachineAliasArn": f"{MACHINE}:live"}]
                },
                "stepfunctions.DescribeStateMachineAlias": lambda _: {
                    "routingConfiguration": [
                        {"stateMachineVersionArn": f"{MACHINE}:{number}", "weight": 50}
                        for number in self.routes
                    ]
                },
                "stepfunctions.ListExecutions": lambda request: {
                    "executions": [e for e in self.executions if e["status"] == request["statusFilter"]][
                        : request.get(
                            "maxResults", 100
                        )  # one page, which is as large as the request wants
                    ]
                },
                "stepfunctions.DescribeStateMachine": self.describe_machine,
                "stepfunctions.DeleteStateMachineVersion": self.delete_machine,
                "lambda.ListVersionsByFunction": lambda _: {
                    "Versions": [
                        {"Version": str(number), "Layers": [{"Arn": f"{LAYER}:{number}"}]}
                        for number in sorted(self.functions)
                    ]
                    + [{"Version": "$LATEST", "Layers": [{"Arn": f"{LAYER}:30"}]}]
                },
                "lambda.ListAliases": lambda _: {
                    "Aliases": [
                        {
                            "FunctionVersion": "30",
                            "RoutingConfig": {"AdditionalVersionWeights": self.weights},
                        }
                    ]
                },
                "lambda.DeleteFunction": self.delete_function,
                "lambda.ListLayerVersions": lambda _: {
                    "LayerVersions": [{"Version": number} for number in sorted(self.layers, reverse=True)]
                },
                "lambda.DeleteLayerVersion": self.delete_layer,
            }
        )
        self.clients = clients_of(aws.session)

    def run(self, release: int, status: str, days_ago: int = 0) -> None:
        at = datetime.now(UTC) - timedelta(days=days_ago)
        execution = {
            "status": status,
            "startDate": at - timedelta(days=60),
            "stateMachineVersionArn": f"{MACHINE}:{release}",
        }
        self.executions.append(execution if status == "RUNNING" else execution | {"stopDate": at})

    def list_machines(self, request: Mapping[str, Any]) -> Answer:
        """Two pages."""
        numbers = sorted(self.machines, reverse=True)
        shown = numbers[20:] if "nextToken" in request else numbers[:20]
        page: dict[str, Any] = {
            "stateMachineVersions": [{"stateMachineVersionArn": f"{MACHINE}:{number}"} for number in shown]
        }
        return page if "nextToken" in request else page | {"nextToken": "2"}

    def describe_machine(self, request: Mapping[str, Any]) -> Answer:
        number = request["stateMachineArn"].removeprefix(MACHINE).removeprefix(":") or "30"
        invoked = f"arn:aws:lambda:{ACCOUNT}:function:stack-save:{number}"
        return {"definition": json.dumps({"Arguments": {"FunctionName": invoked}})}

    def delete_machine(self, request: Mapping[str, Any]) -> Answer:
        self.machines.remove(int(request["stateMachineVersionArn"].rpartition(":")[2]))
        return {}

    def delete_function(self, request: Mapping[str, Any]) -> Answer:
        self.functions.remove(int(request["Qualifier"]))
        return {}

    def delete_layer(self, request: Mapping[str, Any]) -> Answer:
        self.layers.remove(request["VersionNumber"])
        return {}


def resource(kind: str, physical_id: str) -> dict[str, Any]:
    return {"PhysicalResourceId": physical_id, "ResourceType": kind}


def test_thirty_releases_become_three() -> None:
    stack = Deployed()
    removed = list(prune(stack.clients, "stack"))
    assert stack.machines == stack.functions == stack.layers == {28, 29, 30}
    assert len(removed) == 3 * 27
    assert list(prune(stack.clients, "stack")) == []


def test_a_release_that_an_execution_can_still_run_stays_with_its_functions_and_their_layers() -> None:
    stack = Deployed()
    stack.run(7, "RUNNING")
    for release, status in ((8, "FAILED"), (9, "TIMED_OUT"), (10, "ABORTED")):
        stack.run(release, status, days_ago=14)
        stack.run(release + 3, status, days_ago=16)
    stack.run(14, "SUCCEEDED")
    list(prune(stack.clients, "stack"))
    assert stack.machines == stack.functions == stack.layers == {7, 8, 9, 10, 28, 29, 30}


def test_a_thousand_executions_are_one_request() -> None:
    stack = Deployed()
    for _ in range(999):
        stack.run(30, "FAILED")
    stack.run(7, "FAILED")
    list(prune(stack.clients, "stack"))
    assert 7 in stack.machines, "the last one of the page was seen"


def test_a_release_that_an_alias_names_stays_also_with_a_part_of_the_traffic() -> None:
    stack = Deployed()
    stack.routes, stack.weights = [30, 12], {"13": 0.1}
    list(prune(stack.clients, "stack"))
    assert stack.machines == {12, 28, 29, 30}
    assert stack.functions == stack.layers == {12, 13, 28, 29, 30}


@pytest.mark.parametrize(("versions", "removed"), [((), []), ((1, 2), []), ((1, 2, 3, 4), [1])])
def test_the_newest_stay_used_or_not(versions: tuple[int, ...], removed: list[int]) -> None:
    assert removable(versions, (), 3) == removed
