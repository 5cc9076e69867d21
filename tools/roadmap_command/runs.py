"""Start an execution of the state machine and follow it to its end."""

import json
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sqlalchemy import Connection, Engine

from roadmap_content.api.status import TaskStatus, read_status
from roadmap_content.aws.executions import NotRedrivableError, new_execution_name
from roadmap_content.errors import InvalidFrameworkError, RoadmapNotFoundError
from roadmap_content.items import Item
from roadmap_content.postgres.transactions import transact
from roadmap_content.roadmaps.framework_cache import FrameworkCache
from roadmap_content.runtime.deadline import Deadline
from roadmap_content.storage.bucket import Bucket
from roadmap_content.storage.staging import Staging
from roadmap_content.tasks.snapshot import read_snapshot
from roadmap_content.tasks.task import Task, read_task

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

POLL_SECONDS = 0.25


class PlannedWork(NamedTuple):
    """The work of a task's next run."""

    task: Task
    missing: int
    not_staged: int
    """Missing items that are not staged: the run generates them."""


def planned_work(engine: Engine, bucket: Bucket, task_id: str) -> PlannedWork:
    """Count a task's missing items, and those that a run would generate.

    Raises:
        TaskNotFoundError: there is no such task.
    """

    def read(connection: Connection) -> tuple[Task, Sequence[Item]]:
        task = read_task(connection, task_id)
        try:
            return task, read_snapshot(connection, task).missing
        except (RoadmapNotFoundError, InvalidFrameworkError):
            return task, ()  # the run records the reason

    task, missing = transact(engine, read, Deadline.after(30))
    staged = Staging(bucket, task.roadmap_id or "").staged_among(missing) if missing else ()
    return PlannedWork(task, len(missing), len(missing) - len(staged))


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
    except (exceptions.ExecutionNotRedrivable, exceptions.ExecutionDoesNotExist) as error:
        raise NotRedrivableError(error.response["Error"]["Message"]) from error


def is_running(client: "SFNClient", execution_arn: str) -> bool:
    """Whether an execution is running. One that Step Functions does not know is not."""
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


def owner_of(engine: Engine, task_id: str) -> str:
    """The user of a task.

    Raises:
        TaskNotFoundError: there is none.
    """
    return transact(engine, lambda connection: read_task(connection, task_id).user_id, Deadline.after(30))


def task_status(engine: Engine, task_id: str) -> TaskStatus:
    """Get a task's status.

    Raises:
        TaskNotFoundError: there is none.
    """
    return transact(
        engine,
        lambda connection: read_status(connection, read_task(connection, task_id), FrameworkCache()),
        Deadline.after(30),
    )
