"""A rollback moves every alias to the versions of a former release, without a build."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from release.clients import clients_of
from release.errors import ReleaseError
from release.rollback import (
    Function,
    Move,
    belongs_to,
    moves_to,
    release_before,
    require_no_deployment,
    roll_back,
)
from tests.support.recorded_aws import Answers, RecordedAws

A = Function("a", 3, {1: "r1", 2: "r2", 3: "r3"})
B = Function("b", 5, {3: "r1", 4: "r2", 5: "r3"})
NEW = Function("new", 1, {1: "r3"})


def test_the_release_before_is_that_of_the_newest_older_version() -> None:
    assert release_before([A, B, NEW]) == "r2"
    assert release_before([A._replace(live=2), B._replace(live=4)]) == "r1"


def test_a_release_that_was_deployed_twice_is_passed_over() -> None:
    twice = Function("a", 4, {1: "r1", 2: "r2", 3: "r3", 4: "r3"})
    assert release_before([twice]) == "r2"
    assert moves_to("r2", [twice]) == [Move("a", 4, 2)]
    assert moves_to("r3", [twice._replace(live=2)]) == [Move("a", 2, 4)]


@pytest.mark.parametrize("functions", [[NEW], [A, Function("b", 5, {3: "r1", 5: "r3"})]])
def test_a_release_before_that_is_not_certain_must_be_named(functions: list[Function]) -> None:
    with pytest.raises(ReleaseError, match="TO=RELEASE"):
        release_before(functions)


def test_a_function_that_the_release_does_not_have_is_left() -> None:
    assert moves_to("r2", [A, B, NEW]) == [Move("a", 3, 2), Move("b", 5, 4)]
    assert moves_to("r3", [A, B, NEW]) == []


def test_an_unknown_release_is_refused_with_those_that_exist() -> None:
    with pytest.raises(ReleaseError, match="has a version of release r9, only of r1, r2, r3"):
        moves_to("r9", [A, B])


def invoking(**versions: int) -> str:
    return json.dumps({"Arguments": [f"arn:aws:lambda:r:1:function:{n}:{v}" for n, v in versions.items()]})


@pytest.mark.parametrize(
    ("definition", "belongs"),
    [(invoking(a=2, b=4), True), (invoking(a=2, b=5), False), (invoking(a=1, b=3), False), ("{}", False)],
)
def test_a_machine_s_version_belongs_to_the_release_of_its_functions(
    definition: str, *, belongs: bool
) -> None:
    assert belongs_to("r2", definition, [A, B]) is belongs


@pytest.mark.parametrize("status", ["UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS"])
def test_a_deployment_in_progress_is_not_interfered_with(status: str) -> None:
    with pytest.raises(ReleaseError, match="aws cloudformation cancel-update-stack --stack-name s"):
        require_no_deployment("s", status)
    require_no_deployment("s", "UPDATE_ROLLBACK_COMPLETE")


MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:save-content"
AWS = RecordedAws()
CLIENTS = clients_of(AWS.session)


def summary(name: str, physical: str, kind: str) -> dict[str, Any]:
    return {
        "LogicalResourceId": name,
        "PhysicalResourceId": physical,
        "ResourceType": kind,
        "ResourceStatus": "UPDATE_COMPLETE",
        "LastUpdatedTimestamp": "2026-01-01T00:00:00Z",
    }


def deployed(moved: list[Mapping[str, Any]]) -> Answers:
    """A stack of two functions and a state machine, in the middle of a canary of `r3`."""
    functions = {"a": A, "b": B}
    definitions = {1: invoking(a=1, b=3), 2: invoking(a=2, b=4), 3: invoking(a=3, b=5)}

    def versions(request: Mapping[str, Any]) -> dict[str, Any]:
        releases = functions[request["FunctionName"]].releases.items()
        published = [
            {"Version": str(version), "Environment": {"Variables": {"RELEASE": release}}}
            for version, release in releases
        ]
        return {"Versions": [{"Version": "$LATEST"}, *published]}

    def move(request: Mapping[str, Any]) -> dict[str, Any]:
        moved.append(request)
        return {}

    def move_machine(request: Mapping[str, Any]) -> dict[str, Any]:
        moved.append(request)
        return {"updateDate": "2026-01-01T00:00:00Z"}

    return {
        "cloudformation.DescribeStacks": {
            "Stacks": [
                {"StackName": "s", "StackStatus": "UPDATE_COMPLETE", "CreationTime": "2026-01-01T00:00:00Z"}
            ]
        },
        "cloudformation.ListStackResources": {
            "StackResourceSummaries": [
                summary("A", "a", "AWS::Lambda::Function"),
                summary("B", "b", "AWS::Lambda::Function"),
                summary("M", MACHINE, "AWS::StepFunctions::StateMachine"),
            ]
        },
        "lambda.GetAlias": lambda request: {"FunctionVersion": str(functions[request["FunctionName"]].live)},
        "lambda.ListVersionsByFunction": versions,
        "lambda.UpdateAlias": move,
        "stepfunctions.DescribeStateMachineAlias": {
            "routingConfiguration": [
                {"stateMachineVersionArn": f"{MACHINE}:2", "weight": 90},
                {"stateMachineVersionArn": f"{MACHINE}:3", "weight": 10},
            ]
        },
        "stepfunctions.ListStateMachineVersions": {
            "stateMachineVersions": [
                {"stateMachineVersionArn": f"{MACHINE}:{each}", "creationDate": "2026-01-01T00:00:00Z"}
                for each in (3, 2, 1)
            ]
        },
        "stepfunctions.DescribeStateMachine": lambda request: {
            "stateMachineArn": request["stateMachineArn"],
            "name": "save-content",
            "definition": definitions[int(request["stateMachineArn"].rpartition(":")[2])],
            "roleArn": "arn:role",
            "type": "STANDARD",
            "creationDate": "2026-01-01T00:00:00Z",
        },
        "stepfunctions.UpdateStateMachineAlias": move_machine,
    }


def test_every_alias_is_moved_the_machine_first_and_each_move_is_printed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    moved: list[Mapping[str, Any]] = []
    AWS.answer_with(deployed(moved))
    roll_back(CLIENTS, "s")
    weights: dict[str, Any] = {"AdditionalVersionWeights": {}}
    assert moved == [
        {
            "stateMachineAliasArn": f"{MACHINE}:live",
            "routingConfiguration": [{"stateMachineVersionArn": f"{MACHINE}:2", "weight": 100}],
        },
        {"FunctionName": "a", "Name": "live", "FunctionVersion": "2", "RoutingConfig": weights},
        {"FunctionName": "b", "Name": "live", "FunctionVersion": "4", "RoutingConfig": weights},
    ]
    assert capsys.readouterr().out.splitlines() == [
        "save-content: 2/3 → 2",
        "a: 3 → 2",
        "b: 5 → 4",
        "s runs release r2; runs that have started keep theirs",
    ]


def test_nothing_is_moved_if_a_machine_has_no_version_of_the_release() -> None:
    moved: list[Mapping[str, Any]] = []
    without = {
        "stateMachineVersions": [
            {"stateMachineVersionArn": f"{MACHINE}:3", "creationDate": "2026-01-01T00:00:00Z"}
        ]
    }
    AWS.answer_with(deployed(moved) | {"stepfunctions.ListStateMachineVersions": without})
    with pytest.raises(ReleaseError, match="save-content has no version of release r2"):
        roll_back(CLIENTS, "s")
    assert moved == []
