"""Functions of a stack are found, also of one with more than a hundred resources."""

from datetime import UTC, datetime

import boto3
from botocore.stub import Stubber

from local_stack.stack_functions import functions_of


def summary(name: str, kind: str) -> dict[str, object]:
    return {
        "LogicalResourceId": name,
        "PhysicalResourceId": f"stack-{name}",
        "ResourceType": kind,
        "ResourceStatus": "CREATE_COMPLETE",
        "LastUpdatedTimestamp": datetime.now(UTC),
    }


def test_functions_are_found_on_every_page() -> None:
    cloudformation = boto3.client("cloudformation", region_name="eu-central-1")
    pages: list[dict[str, object]] = [
        {
            "StackResourceSummaries": [
                summary("A", "AWS::Lambda::Function"),
                summary("B", "AWS::S3::Bucket"),
            ],
            "NextToken": "2",
        },
        {"StackResourceSummaries": [summary("C", "AWS::Lambda::Function")]},
    ]
    with Stubber(cloudformation) as stub:
        for page in pages:
            stub.add_response("list_stack_resources", page)
        assert functions_of(cloudformation, "stack") == {"A": "stack-A", "C": "stack-C"}
