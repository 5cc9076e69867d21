"""The check of permissions detects missing, unused and too broad permissions."""

from typing import Any

import pytest

from checks.template.declared import Function, Statement, functions_in
from checks.template.permissions import MAY_NEED, RUNTIME, check_permissions, compare
from checks.template.reachable import Operation, Reached, reached_by
from local_stack.builds import REPOSITORY
from local_stack.template_file import Template, read_template

FUNCTIONS = {
    function.logical_id: function for function in functions_in(read_template(REPOSITORY / "template.yaml"))
}
OPTIONAL = RUNTIME.union(*MAY_NEED.values())
NEEDED = [
    (logical_id, action)
    for logical_id, function in FUNCTIONS.items()
    for action in sorted({action for each in function.statements for action in each.actions} - OPTIONAL)
    if not action.startswith("ec2:")
]


def faults(function: Function, reached: Reached | None = None) -> list[str]:
    return [finding.fault for finding in compare(function, reached or reached_by(function.name))]


def without(function: Function, action: str) -> Function:
    statements = tuple(
        statement._replace(actions=tuple(each for each in statement.actions if each != action))
        for statement in function.statements
    )
    return function._replace(statements=statements)


def allowing(function: Function, action: str, resource: str = "${ContentBucket.Arn}/staged/*") -> Function:
    return function._replace(statements=(*function.statements, Statement("Allow", (action,), (resource,))))


def test_the_template_allows_exactly_the_used_actions(template: Template) -> None:
    assert list(check_permissions(template)) == []


@pytest.mark.parametrize(("logical_id", "action"), NEEDED)
def test_every_removed_permission_is_reported_as_missing(logical_id: str, action: str) -> None:
    assert faults(without(FUNCTIONS[logical_id], action)) == [f"{action} is used and not allowed"]


def test_there_are_permissions_to_remove() -> None:
    assert {action for _, action in NEEDED} >= {
        "bedrock:InvokeModel",
        "kms:GenerateDataKey",
        "rds-db:connect",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:PutObject",
        "secretsmanager:GetSecretValue",
        "sqs:SendMessage",
        "states:DescribeExecution",
        "states:RedriveExecution",
        "states:StartExecution",
    }


@pytest.mark.parametrize("logical_id", FUNCTIONS)
@pytest.mark.parametrize("action", ["s3:DeleteBucket", "states:ListExecutions", "s3:*"])
def test_every_added_permission_is_reported_as_unused(logical_id: str, action: str) -> None:
    assert faults(allowing(FUNCTIONS[logical_id], action)) == [f"{action} is allowed and not used"]


@pytest.mark.parametrize(
    ("logical_id", "action", "resource"),
    [
        ("SaveBatchFunction", "s3:GetObject", "*"),
        ("SaveBatchFunction", "s3:PutObject", "${ContentBucket.Arn}/*"),
        ("SaveBatchFunction", "s3:PutObject", "arn:${AWS::Partition}:s3:::${ContentBucketName}/*"),
        ("GenerateContentFunction", "s3:DeleteObject", "arn:${AWS::Partition}:s3:::${ContentBucketName}/*"),
        ("SaveBatchFunction", "kms:Decrypt", "arn:aws:kms:*:*:key/*"),
        ("TaskApiFunction", "states:StartExecution", "arn:aws:states:eu-central-1:1:stateMachine:other"),
        ("TaskApiFunction", "states:RedriveExecution", "arn:aws:states:eu-central-1:1:execution:*"),
    ],
)
def test_permissions_on_resources_of_other_stacks_are_reported(
    logical_id: str, action: str, resource: str
) -> None:
    fault = f"{action} is allowed on {resource}, which is not this stack's own"
    assert faults(allowing(FUNCTIONS[logical_id], action, resource)) == [fault]


def test_a_denied_action_does_not_count_as_allowed() -> None:
    function = without(FUNCTIONS["PlanBatchesFunction"], "s3:PutObject")
    denied = Statement("Deny", ("s3:PutObject",), ("arn:aws:s3:::content/*",))
    assert faults(function._replace(statements=(*function.statements, denied))) == [
        "s3:PutObject is used and not allowed"
    ]


def test_an_operation_without_a_known_action_is_an_error() -> None:
    reached = reached_by("await_redrive")
    more = reached._replace(operations=reached.operations | {Operation("s3", "restore_object")})
    assert faults(FUNCTIONS["AwaitRedriveFunction"], more) == ["s3.restore_object is not listed in NEEDS"]


def test_a_policy_removed_from_a_role_is_reported(template: Template) -> None:
    role: dict[str, Any] = template["Resources"]["FinalizeTaskRole"]["Properties"]
    role["ManagedPolicyArns"] = [{"Ref": "RuntimeAccess"}]
    assert {finding.fault for finding in check_permissions(template)} == {
        "events:PutEvents is used and not allowed",
        "rds-db:connect is used and not allowed",
        "secretsmanager:GetSecretValue is used and not allowed",
    }
