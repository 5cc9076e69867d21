"""Claims: how an attempt at a task is taken, and who may write for it.

An attempt is a fencing token. It is claimed by one conditional UPDATE, it only grows, and only the attempt
that the row names writes the task's status.
"""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from ..aws.executions import Executions, ExecutionState
from ..errors import ClaimRefusedError, StaleAttemptError
from ..postgres.transactions import transact
from ..runtime.deadline import Deadline
from ..services import Services
from .attempts import CONSOLE, AttemptStart, Cause, open_attempt, take_redrive_request
from .task import Task, claim_row, read_task

STARTING = timedelta(seconds=60)
"""How long an attempt may be claimed before its execution is there: then its starter has died."""


def is_at_work(executions: Executions, task: Task) -> bool:
    """Whether the execution that the task's row names is going on, or about to be started."""
    if task.execution_arn is None:
        return False
    match executions.state(task.execution_arn):
        case ExecutionState.RUNNING:
            return True
        case ExecutionState.UNKNOWN:
            age = datetime.now(UTC) - task.updated_at.replace(tzinfo=UTC)
            return task.status == "processing" and age < STARTING
        case ExecutionState.OVER:
            return False


def claim(
    services: Services,
    task: Task,
    execution_arn: str,
    deadline: Deadline,
    start: AttemptStart | None,
    redrive_count: int = 0,
) -> Task:
    """Claim the attempt after the one that `task` was read at, for an execution.

    Asked again by the execution that has it already, the answer is the same. `start` goes to the audit trail;
    `None` for a redriven execution: then it is whoever asked for the redrive through the API, or the console.

    Raises:
        ClaimRefusedError: another execution is at work on the task, or was quicker.
        DatabaseUnavailableError, ExecutionsUnavailableError: trying again may help.
    """
    if task.execution_arn == execution_arn and task.status == "processing":
        return task
    if task.execution_arn != execution_arn and is_at_work(services.executions, task):
        raise ClaimRefusedError(task.task_id, task.attempt, task.execution_arn)
    return _take(services, task, execution_arn, deadline, start, redrive_count)


def _take(
    services: Services,
    task: Task,
    execution_arn: str,
    deadline: Deadline,
    start: AttemptStart | None,
    redrive_count: int = 0,
) -> Task:
    def take(connection: Connection) -> Task:
        claimed = claim_row(connection, task.task_id, task.attempt, execution_arn)
        if claimed:
            by = start or take_redrive_request(connection, execution_arn)
            open_attempt(connection, task.task_id, task.attempt + 1, execution_arn, by, redrive_count)
        now = read_task(connection, task.task_id)
        # 0 rows updated but the claim is ours: an earlier COMMIT succeeded without an answer.
        if not claimed and now.execution_arn != execution_arn:
            raise ClaimRefusedError(now.task_id, now.attempt, now.execution_arn)
        return now

    return transact(services.engine, take, deadline)


def claim_to_record(services: Services, task: Task, execution_arn: str, deadline: Deadline) -> Task:
    """Claim a task's first attempt for an execution that ended before it got to; the task as it is then.

    Without an attempt its end would have no place, and the task would stay pending for ever. A task that has
    been claimed, by whomever, or cancelled, is left alone.
    """
    if task.attempt > 0 or task.status == "cancelled":
        return task
    try:
        start = AttemptStart(CONSOLE, Cause.FIRST_RUN)
        return _take(services, task, execution_arn, deadline, start)
    except ClaimRefusedError:
        return transact(services.engine, lambda connection: read_task(connection, task.task_id), deadline)


def require_claim(connection: Connection, task_id: str, attempt: int, execution_arn: str) -> Task:
    """Read the task of an attempt that somebody claimed for this execution.

    Raises:
        TaskNotFoundError: there is no such task.
        StaleAttemptError: the row names another attempt, or another execution for this one.
    """
    task = read_task(connection, task_id)
    if (task.attempt, task.execution_arn) != (attempt, execution_arn):
        raise StaleAttemptError(
            f"attempt {attempt} of task {task_id} is not this execution's: "
            f"the task is at attempt {task.attempt}, {task.execution_arn}"
        )
    return task
