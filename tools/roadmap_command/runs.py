"""Start an execution of the state machine and follow it to its end."""

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from roadmap_content.api.status import read_status
from roadmap_content.capabilities.composed import EVERY
from roadmap_content.content.roadmaps.metadata import FrameworkCache
from roadmap_content.contracts.api.tasks import TaskStatus
from roadmap_content.contracts.errors import NotRedrivableError
from roadmap_content.platform.aws.executions import new_execution_name
from roadmap_content.platform.postgres.transactions import transact
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.state.tasks.task import read_task

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

POLL_SECONDS = 0.25


def start_run(client: "SFNClient", state_machine_arn: str, task_id: str) -> str:
    """Start an execution without an attempt, so that it claims one itself; return its ARN."""
    return client.start_execution(
        stateMachineArn=state_machine_arn,
        name=new_execution_name(task_id, "by-hand"),
        input=json.dumps({"task_id": task_id}),
    )["executionArn"]


def redrive_run(client: "SFNClient", execution_arn: str) -> None:
    """Redrive an execution from its failed state.

    Raises:
        NotRedrivableError: Step Functions refused it.
    """
    exceptions = client.exceptions
    try:
        client.redrive_execution(executionArn=execution_arn)
    except (
        exceptions.ExecutionNotRedrivable,
        exceptions.ExecutionDoesNotExist,
        exceptions.InvalidArn,
    ) as error:
        fault = error.response["Error"]["Message"]
        raise NotRedrivableError(f"{fault}; start a new execution instead: roadmap retry") from error


def is_running(client: "SFNClient", execution_arn: str) -> bool:
    """Whether an execution is running. `False` if it does not exist in Step Functions."""
    try:
        return client.describe_execution(executionArn=execution_arn)["status"] == "RUNNING"
    except (client.exceptions.ExecutionDoesNotExist, client.exceptions.InvalidArn):
        return False


def follow_run(client: "SFNClient", execution_arn: str, on_progress: Callable[[], None]) -> str:
    """Wait until an execution ends, with regular calls of `on_progress`; return its last status."""
    while True:
        status = client.describe_execution(executionArn=execution_arn)["status"]
        on_progress()
        if status != "RUNNING":
            return status
        time.sleep(POLL_SECONDS)


def task_status(engine: Engine, task_id: str) -> TaskStatus:
    """Get a task's status.

    Raises:
        TaskNotFoundError: there is none.
    """
    return transact(
        engine,
        lambda connection: read_status(connection, read_task(connection, task_id), FrameworkCache(), EVERY),
        Deadline.after(30),
    )
