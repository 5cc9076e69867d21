"""The values that a task's row may contain in place of an execution's ARN."""

from roadmap_content.platform.aws.executions import Executions, ExecutionState


def test_an_empty_arn_is_no_outage() -> None:
    """boto3 refuses to send it: the API answered 503, and every sweep failed for the task."""
    executions = Executions("arn:aws:states:us-east-1:123456789012:stateMachine:save-content")
    assert executions.state("") is ExecutionState.UNKNOWN
    assert executions.stop("") is False
