"""The deployed stack: whether it can be updated, and whether its last update was rolled back."""

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from ..clients import Clients
from .problem import Problem, Target

LONGEST = 25
"""The characters of a stack's name that CloudFormation keeps in generated names of 64 characters."""


def check(clients: Clients, target: Target) -> Iterator[Problem]:
    """Read the stack's status and decide."""
    if len(target.stack) > LONGEST:
        yield Problem(
            f"{target.stack} has {len(target.stack)} characters: CloudFormation shortens it in generated "
            "names, which the roles of deployment/role.yaml know by their beginning",
            f"a stack_name of at most {LONGEST} characters in samconfig.toml",
        )
    described = describe(clients, target.stack)
    status = described.get("StackStatus", "")
    if status == "ROLLBACK_COMPLETE":
        yield Problem(
            f"{target.stack} is {status}: its first deployment failed, and CloudFormation cannot update it",
            f"aws cloudformation delete-stack --stack-name {target.stack}",
        )
    elif status == "UPDATE_ROLLBACK_FAILED":
        yield Problem(
            f"{target.stack} is {status}: CloudFormation cannot update it",
            f"aws cloudformation continue-update-rollback --stack-name {target.stack}",
        )
    may_disturb = {"Key": "first-day", "Value": "may-disturb"} in described.get("Tags", ())
    if status.endswith("_COMPLETE") and not may_disturb and not described.get("EnableTerminationProtection"):
        yield Problem(
            f"{target.stack} has users, and anybody who may can delete it",
            "aws cloudformation update-termination-protection --enable-termination-protection "
            f"--stack-name {target.stack}",
        )


def rollback_of(clients: Clients, stack: str) -> str:
    """The time of the last update, if it was rolled back, which identifies it; else an empty text."""
    described = describe(clients, stack)
    if described.get("StackStatus") != "UPDATE_ROLLBACK_COMPLETE":
        return ""
    return str(described["LastUpdatedTime"].isoformat())


def describe(clients: Clients, stack: str) -> Mapping[str, Any]:
    """The stack as CloudFormation describes it; empty before the first deployment."""
    try:
        (described,) = clients("cloudformation", "").describe_stacks(StackName=stack)["Stacks"]
    except ClientError as error:
        if "does not exist" in error.response["Error"]["Message"]:
            return {}
        raise
    found: Mapping[str, Any] = described
    return found
