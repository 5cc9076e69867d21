"""The Lambda functions of a CloudFormation stack, local or on AWS."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient


def functions_of(cloudformation: "CloudFormationClient", name: str) -> dict[str, str]:
    """The names of a stack's Lambda functions, by logical id."""
    resources = cloudformation.describe_stack_resources(StackName=name)["StackResources"]
    return {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for resource in resources
        if resource["ResourceType"] == "AWS::Lambda::Function"
    }
