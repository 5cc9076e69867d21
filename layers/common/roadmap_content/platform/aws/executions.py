"""Executions of the state machine: start, describe, redrive, stop.

An attempt's ARN is chosen before the attempt is claimed and stored with the claim, so that a repeated
StartExecution returns the same run. Its name has a random part: a database that was restored from a backup
counts attempts from an earlier number, and Step Functions keeps a name for 90 days.
"""

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum, auto
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import quote

from ...contracts.errors import NotRedrivableError, TransientError
from .clients import create_client

if TYPE_CHECKING:
    from botocore.exceptions import BotoCoreError, ClientError
    from mypy_boto3_stepfunctions import SFNClient

MAX_NAME = 80
"""Characters of an execution's name."""

CANCELLED = "Cancelled"
"""The error of an execution that was stopped because its task was cancelled."""

_LOCAL_ACCOUNT = "000000000000"
"""The account of emulated clouds. AWS has none with this number."""


class ExecutionsUnavailableError(TransientError, code="ExecutionsUnavailable"):
    """A request to Step Functions failed."""


class ExecutionState(Enum):
    RUNNING = auto()
    OVER = auto()
    """The execution ended without success and may be redriven."""

    SUCCEEDED = auto()
    UNKNOWN = auto()
    """The execution never started, or was deleted: Step Functions keeps executions for 90 days."""


class Executions:
    """The executions of one state machine.

    Args:
        state_machine_arn: may include an alias: executions then start with its version, and keep it. The ARN
            of an execution contains no alias.
    """

    def __init__(self, state_machine_arn: str) -> None:
        self._state_machine_arn = state_machine_arn
        # Without a version or alias.
        self._prefix = (
            ":".join(state_machine_arn.split(":")[:7]).replace(":stateMachine:", ":execution:") + ":"
        )

    @cached_property
    def _client(self) -> "SFNClient":
        # A call that hangs ends within the 28 s of a request to the API, and leaves Finalize its time.
        retries = {"mode": "standard", "total_max_attempts": 3}
        client: SFNClient = create_client("stepfunctions", connect_timeout=2, read_timeout=4, retries=retries)
        return client

    def new_arn(self, task_id: str, attempt: int) -> str:
        """Choose the ARN of an execution to start for an attempt. Each call returns a different ARN."""
        return self.named_arn(new_execution_name(task_id, f"r{attempt}"))

    def named_arn(self, name: str) -> str:
        """The ARN of the execution with this name, which may not have started yet."""
        return f"{self._prefix}{name}"

    def start(self, execution_arn: str, task_id: str, attempt: int) -> None:
        """Start the execution of an attempt, under the ARN that it was claimed for; at most once.
        Raises ExecutionsUnavailableError: the request failed; the execution may have started.
        """
        # StartExecution succeeds again while the execution runs. If it has ended, its name is refused: it was
        # started before, because each attempt has a name of its own.
        with _request("StartExecution"), suppress(self._client.exceptions.ExecutionAlreadyExists):
            self._client.start_execution(
                stateMachineArn=self._state_machine_arn,
                name=execution_arn.rpartition(":")[2],
                input=json.dumps({"task_id": task_id, "attempt": attempt}),
            )

    def state(self, execution_arn: str) -> ExecutionState:
        """Get the state of an execution. Raises ExecutionsUnavailableError: the request failed."""
        if not execution_arn:
            return ExecutionState.UNKNOWN  # boto3 refuses to send it, which is no outage
        exceptions = self._client.exceptions
        with _request("DescribeExecution"):
            try:
                status = self._client.describe_execution(executionArn=execution_arn)["status"]
            except (exceptions.ExecutionDoesNotExist, exceptions.InvalidArn):
                return ExecutionState.UNKNOWN
            except exceptions.ClientError as error:
                # An execution of another state machine, such as that of the stack under an earlier name: the
                # role has no permission for it, and the state machine does not exist any more.
                is_foreign = not execution_arn.startswith(self._prefix)
                if is_foreign and _code_of(error) == "AccessDeniedException":
                    return ExecutionState.UNKNOWN
                raise
        match status:
            case "RUNNING" | "PENDING_REDRIVE":
                return ExecutionState.RUNNING
            case "SUCCEEDED":
                return ExecutionState.SUCCEEDED
            case _:
                return ExecutionState.OVER

    def stop(self, execution_arn: str) -> bool:
        """Stop an execution; return `False` if it has already ended or does not exist.
        Raises ExecutionsUnavailableError: the request failed; the execution may have been stopped.
        """
        if self.state(execution_arn) is not ExecutionState.RUNNING:
            return False
        with _request("StopExecution"):
            self._client.stop_execution(
                executionArn=execution_arn, error=CANCELLED, cause="the task was cancelled"
            )
        return True

    def redrive(self, execution_arn: str) -> None:
        """Redrive an execution from its failed state.

        Raises:
            NotRedrivableError: the execution does not exist or cannot be redriven.
            ExecutionsUnavailableError: the request failed; the execution may have been redriven.
        """
        exceptions = self._client.exceptions
        with _request("RedriveExecution"):
            try:
                self._client.redrive_execution(executionArn=execution_arn)
            except (exceptions.ExecutionNotRedrivable, exceptions.ExecutionDoesNotExist) as error:
                raise NotRedrivableError(error.response["Error"]["Message"]) from error


@contextmanager
def _request(operation: str) -> Iterator[None]:
    """Raise ExecutionsUnavailableError, with its operation, if the request of the block fails."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise ExecutionsUnavailableError(f"{operation}: {_code_of(error)}") from error


def new_execution_name(task_id: str, label: str) -> str:
    """A new, unique execution name: the task and `label`, for people, and a random part. Step Functions
    allows 80 characters, and letters, digits, `-` and `_` are safe in every tool.
    """
    suffix = f"-{label}-{secrets.token_hex(4)}"
    return re.sub("[^A-Za-z0-9_-]", "_", task_id)[: MAX_NAME - len(suffix)] + suffix


_REGION = re.compile("[a-z0-9-]+")
"""A row may contain any text, and the region becomes a part of the host."""


def execution_url(execution_arn: str | None) -> str | None:
    """The URL of an execution in the AWS console; `None` for the local cloud, which has no console, and
    for what is no ARN of an execution.
    """
    arn = execution_arn or ""
    match arn.split(":"):
        case ["arn", partition, "states", region, account, *_] if _REGION.fullmatch(region):
            if account == _LOCAL_ACCOUNT:
                return None
            hosts = {"aws-us-gov": "amazonaws-us-gov.com", "aws-cn": "amazonaws.cn"}
            host = hosts.get(partition, "aws.amazon.com")
            path = f"#/v2/executions/details/{quote(arn, safe=':')}"
            return f"https://{region}.console.{host}/states/home?region={region}{path}"
    return None


def _code_of(error: "BotoCoreError | ClientError") -> str:
    """The error code from AWS, or the exception type if there was no response."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", type(error).__name__))
