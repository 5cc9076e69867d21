"""The runs of the state machine, as Step Functions knows them.

An execution's name follows from the task and the attempt, and its input from the same two: so a repeated
StartExecution returns the same run, and an attempt's ARN is known before it is started.
"""

import json
from enum import Enum, auto
from functools import cached_property
from typing import TYPE_CHECKING

from ..errors import PermanentError, TransientError

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient


class ExecutionsUnavailableError(TransientError):
    """Step Functions did not do what it was asked."""

    code = "ExecutionsUnavailable"


class NotRedrivableError(PermanentError):
    """Step Functions does not redrive the execution; the message says why."""

    code = "NotRedrivable"


class ExecutionState(Enum):
    """What Step Functions says of an execution."""

    RUNNING = auto()
    OVER = auto()
    UNKNOWN = auto()
    """Never started, or forgotten: Step Functions keeps executions for 90 days."""


class Executions:
    """The executions of one state machine."""

    def __init__(self, state_machine_arn: str) -> None:
        self._state_machine_arn = state_machine_arn

    @cached_property
    def _client(self) -> "SFNClient":
        import boto3  # 280 ms, and most runs never ask
        from botocore.config import Config

        return boto3.client(
            "stepfunctions",
            config=Config(
                connect_timeout=3, read_timeout=10, retries={"mode": "standard", "max_attempts": 3}
            ),
        )

    def arn(self, task_id: str, attempt: int) -> str:
        """The ARN that the execution of an attempt has, or will have."""
        prefix = self._state_machine_arn.replace(":stateMachine:", ":execution:")
        return f"{prefix}:{_name(task_id, attempt)}"

    def start(self, task_id: str, attempt: int) -> None:
        """Start the run of an attempt; started already, nothing happens.

        Raises:
            ExecutionsUnavailableError: it is not known to have started.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client.start_execution(
                stateMachineArn=self._state_machine_arn,
                name=_name(task_id, attempt),
                input=json.dumps({"task_id": task_id, "attempt": attempt}),
            )
        except self._client.exceptions.ExecutionAlreadyExists:
            return  # it started, and is over already
        except (BotoCoreError, ClientError) as error:
            raise ExecutionsUnavailableError(f"StartExecution: {error}") from error

    def state(self, execution_arn: str) -> ExecutionState:
        """What Step Functions says of an execution.

        Raises:
            ExecutionsUnavailableError: nothing is known.
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
        """Redrive an execution from the state that failed.

        Raises:
            NotRedrivableError: Step Functions says that it cannot be.
            ExecutionsUnavailableError: it is not known to have been redriven.
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
