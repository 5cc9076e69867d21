"""Starts a run of the state machine and follows it to its end."""

import json
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING

from sqlalchemy import Engine

from roadmap_content.api.status import TaskStatus, read_status
from roadmap_content.aws.executions import NotRedrivableError
from roadmap_content.postgres.transactions import transact
from roadmap_content.roadmaps.framework_cache import FrameworkCache
from roadmap_content.runtime.deadline import Deadline
from roadmap_content.tasks.task import read_task

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

POLL_SECONDS = 0.25


def start_run(client: "SFNClient", state_machine_arn: str, task_id: str) -> str:
    """Start a run by hand: without an attempt, so that it claims one itself; the execution's ARN.

    A name cannot be used twice, and the attempt that would make it unique is not known yet.
    """
    return client.start_execution(
        stateMachineArn=state_machine_arn,
        name=f"{task_id}-by-hand-{uuid.uuid4().hex[:8]}",
        input=json.dumps({"task_id": task_id}),
    )["executionArn"]


def redrive_run(client: "SFNClient", execution_arn: str) -> None:
    """Redrive an execution from the state that failed.

    Raises:
        NotRedrivableError: Step Functions says that it cannot be.
    """
    exceptions = client.exceptions
    try:
        client.redrive_execution(executionArn=execution_arn)
    except (exceptions.ExecutionNotRedrivable, exceptions.ExecutionDoesNotExist) as error:
        raise NotRedrivableError(error.response["Error"]["Message"]) from error


def follow_run(client: "SFNClient", execution_arn: str, on_progress: Callable[[], None]) -> str:
    """Wait until an execution is over, calling `on_progress` now and then; its last status."""
    while True:
        status = client.describe_execution(executionArn=execution_arn)["status"]
        on_progress()
        if status != "RUNNING":
            return status
        time.sleep(POLL_SECONDS)


def owner_of(engine: Engine, task_id: str) -> str:
    """The user that a task belongs to.

    Raises:
        TaskNotFoundError: there is none.
    """
    return transact(engine, lambda connection: read_task(connection, task_id).user_id, Deadline.after(30))


def task_status(engine: Engine, task_id: str) -> TaskStatus:
    """How a task stands.

    Raises:
        TaskNotFoundError: there is none.
    """
    return transact(
        engine,
        lambda connection: read_status(connection, read_task(connection, task_id), FrameworkCache()),
        Deadline.after(30),
    )
