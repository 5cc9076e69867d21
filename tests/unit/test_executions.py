"""The executions that a task's row names, and the link to one in the AWS console."""

import pytest

from roadmap_content.platform.aws.executions import Executions, ExecutionState, execution_url

ARN = "arn:{}:states:{}:{}:execution:save:t-1-r2"


@pytest.mark.parametrize(
    ("partition", "region", "host"),
    [
        ("aws", "eu-central-1", "eu-central-1.console.aws.amazon.com"),
        ("aws-cn", "cn-north-1", "cn-north-1.console.amazonaws.cn"),
        ("aws-us-gov", "us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_it_leads_to_the_console_of_the_partition(partition: str, region: str, host: str) -> None:
    arn = ARN.format(partition, region, "123456789012")
    url = execution_url(arn)
    assert url == f"https://{host}/states/home?region={region}#/v2/executions/details/{arn}"


@pytest.mark.parametrize("region", ["evil.example/?", "eu-central-1.evil.example#", "user@evil", ""])
def test_a_strange_region_leads_to_no_strange_host(region: str) -> None:
    assert execution_url(ARN.format("aws", region, "123456789012")) is None


@pytest.mark.parametrize("arn", [None, "", "none", ARN.format("aws", "us-east-1", "000000000000")])
def test_an_execution_of_the_local_cloud_has_none(arn: str | None) -> None:
    assert execution_url(arn) is None


def test_an_empty_arn_is_no_outage() -> None:
    """boto3 refuses to send it: the API answered 503, and every sweep failed for the task."""
    executions = Executions("arn:aws:states:us-east-1:123456789012:stateMachine:save-content")
    assert executions.state("") is ExecutionState.UNKNOWN
    assert executions.stop("") is False
