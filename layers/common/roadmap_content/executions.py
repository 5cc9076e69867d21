"""The runs of the state machine, as Step Functions knows them."""

from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


class Executions:
    """Asks Step Functions about executions."""

    @cached_property
    def _client(self) -> "SFNClient":
        import boto3

        return boto3.client("stepfunctions")

    def is_running(self, execution_arn: str) -> bool:
        """Whether the execution is still going. One that does not exist (any more) is not."""
        try:
            answer = self._client.describe_execution(executionArn=execution_arn)
        except self._client.exceptions.ExecutionDoesNotExist:
            return False
        return answer["status"] == "RUNNING"
