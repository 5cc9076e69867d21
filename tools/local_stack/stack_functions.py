"""The Lambda functions of a CloudFormation stack, local or on AWS."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient


def functions_of(cloudformation: "CloudFormationClient", name: str) -> dict[str, str]:
    """The names of a stack's Lambda functions, by logical id."""
    # Not DescribeStackResources, which returns the first 100 resources of a stack.
    pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=name)
    return {
        resource["LogicalResourceId"]: resource["PhysicalResourceId"]
        for page in pages
        for resource in page["StackResourceSummaries"]
        if resource["ResourceType"] == "AWS::Lambda::Function"
    }
