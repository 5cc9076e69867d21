"""Executions of the state machine: start, describe and redrive.

The name and the input of an execution are derived from the task and the attempt. Therefore a repeated
StartExecution returns the same execution, and an attempt's ARN is known before the start.
"""

import json
from enum import Enum, auto
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import PermanentError, TransientError

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


class ExecutionsUnavailableError(TransientError):
    """A request to Step Functions failed."""

    code = "ExecutionsUnavailable"


class NotRedrivableError(PermanentError):
    """Step Functions refused to redrive the execution. The message is the reason."""

    code = "NotRedrivable"


class ExecutionState(Enum):
    """The state of an execution."""

    RUNNING = auto()
    OVER = auto()
    UNKNOWN = auto()
    """Never started, or deleted: Step Functions keeps executions for 90 days."""


class Executions:
    """The executions of one state machine."""

    def __init__(self, state_machine_arn: str) -> None:
        self._state_machine_arn = state_machine_arn

    @cached_property
    def _client(self) -> "SFNClient":
        import boto3  # imported here: it takes 280 ms, and most invocations do not need it
        from botocore.config import Config

        return boto3.client(
            "stepfunctions",
            config=Config(
                connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 3}
            ),
        )

    def arn(self, task_id: str, attempt: int) -> str:
        """The ARN of an attempt's execution, which may not have started yet."""
        prefix = self._state_machine_arn.replace(":stateMachine:", ":execution:")
        return f"{prefix}:{_name(task_id, attempt)}"

    def start(self, task_id: str, attempt: int) -> None:
        """Start the execution of an attempt. Does nothing if it was started already.

        Raises:
            ExecutionsUnavailableError: the request failed; the execution may have started.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.start_execution(
                stateMachineArn=self._state_machine_arn,
                name=_name(task_id, attempt),
                input=json.dumps({"task_id": task_id, "attempt": attempt}),
            )
        except self._client.exceptions.ExecutionAlreadyExists:
            return  # it has ended already
        except (BotoCoreError, ClientError) as error:
            raise ExecutionsUnavailableError(f"StartExecution: {error}") from error

    def state(self, execution_arn: str) -> ExecutionState:
        """Get the state of an execution.

        Raises:
            ExecutionsUnavailableError: the request failed.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            answer = self._client.describe_execution(executionArn=execution_arn)
        except (self._client.exceptions.ExecutionDoesNotExist, self._client.exceptions.InvalidArn):
            return ExecutionState.UNKNOWN
        except (BotoCoreError, ClientError) as error:
            raise ExecutionsUnavailableError(f"DescribeExecution: {error}") from error
        return ExecutionState.RUNNING if answer["status"] == "RUNNING" else ExecutionState.OVER

    def redrive(self, execution_arn: str) -> None:
        """Redrive an execution from its failed state.

        Raises:
            NotRedrivableError: the execution does not exist or cannot be redriven.
            ExecutionsUnavailableError: the request failed; the execution may have been redriven.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        exceptions = self._client.exceptions
        try:
            self._client.redrive_execution(executionArn=execution_arn)
        except (exceptions.ExecutionNotRedrivable, exceptions.ExecutionDoesNotExist) as error:
            raise NotRedrivableError(error.response["Error"]["Message"]) from error
        except (BotoCoreError, ClientError) as error:
            raise ExecutionsUnavailableError(f"RedriveExecution: {error}") from error


def _name(task_id: str, attempt: int) -> str:
    return f"{task_id}-r{attempt}"
