"""Attempts, and the table that keeps them: `roadmap_tasks`.

An attempt is a fencing token. It is claimed by one conditional UPDATE, it only grows, and a task's status is
written only by the attempt that the row names.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from ..aws.executions import Executions, ExecutionState
from ..errors import ClaimRefusedError, StaleAttemptError, TaskNotFoundError
from ..postgres.transactions import transact
from ..runtime.deadline import Deadline
from ..services import Services

_READ = """
SELECT task_id, user_id, roadmap_id, status, current_step, attempt, execution_arn, error_message,
    CAST(failed_concepts AS text) AS failed_concepts,
    CAST(execution_summary AS text) AS execution_summary, updated_at, completed_at
FROM roadmap_tasks WHERE task_id = :task_id
"""
READ = text(_READ)
# Another user's task is not read at all: it cannot be told from one that does not exist.
READ_OF_USER = text(f"{_READ} AND user_id = :user_id")

REQUEST = text("SELECT CAST(user_request AS text) FROM roadmap_tasks WHERE task_id = :task_id")

# Promises: of all that read the same attempt, one gets the next. The claimed attempt is the row's alone.
CLAIM = text("""
UPDATE roadmap_tasks SET
    attempt = attempt + 1, execution_arn = :execution_arn, status = 'processing', current_step = 'planning',
    completed_at = NULL, error_message = NULL, updated_at = timezone('utc', now())
WHERE task_id = :task_id AND attempt = :attempt
""")

# Promises: only the row's own attempt writes; a cancelled task stays cancelled.
RECORD = text("""
UPDATE roadmap_tasks SET
    status = CASE status WHEN 'cancelled' THEN status ELSE :status END,
    current_step = :current_step,
    failed_concepts = CAST(:failed_concepts AS json),
    execution_summary = CAST(:execution_summary AS json),
    error_message = :error_message,
    completed_at = coalesce(completed_at, timezone('utc', now())),
    updated_at = timezone('utc', now())
WHERE task_id = :task_id AND attempt = :attempt
""")

# Leaves `updated_at` at the time of the claim, from which the attempt's duration is counted.
STEP = text("""
UPDATE roadmap_tasks SET current_step = :current_step
WHERE task_id = :task_id AND attempt = :attempt AND status = 'processing'
""")


STARTING = timedelta(seconds=60)
"""How long an attempt may be claimed before its execution is there: then its starter has died."""


@dataclass(frozen=True)
class Task:
    """One row of `roadmap_tasks`. Times are UTC without a zone, as the columns are."""

    task_id: str
    user_id: str
    roadmap_id: str | None
    status: str
    current_step: str | None
    attempt: int
    execution_arn: str | None
    error_message: str | None
    failed_concepts: str | None
    execution_summary: str | None
    updated_at: datetime
    completed_at: datetime | None

    @property
    def recorded_failures(self) -> object:
        """What `failed_concepts` holds, whoever wrote it."""
        return _decoded(self.failed_concepts)

    @property
    def recorded_summary(self) -> Mapping[str, Any]:
        """What `execution_summary` holds if this system wrote it; empty where the product did, or nobody."""
        summary = _decoded(self.execution_summary)
        match summary:
            case {"attempt": int(), "duration_seconds": int() | float()}:
                return dict(summary)
            case _:
                return {}


def read_task(connection: Connection, task_id: str, user_id: str | None = None) -> Task:
    """Read a task; with `user_id`, a task of that user.

    Raises:
        TaskNotFoundError: there is none.
    """
    statement = READ if user_id is None else READ_OF_USER
    row = connection.execute(statement, {"task_id": task_id, "user_id": user_id}).one_or_none()
    if row is None:
        raise TaskNotFoundError(f"there is no task {task_id!r}")
    return Task(**row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row as a mapping


def read_user_request(connection: Connection, task_id: str) -> object:
    """What the user asked for, as the product wrote it; `None` where nothing is written."""
    return _decoded(connection.scalar(REQUEST, {"task_id": task_id}))


def _decoded(column: str | None) -> Any:  # noqa: ANN401 - JSON of anybody
    """What a json column holds. One that is nested too deep to be read was not written by this system."""
    try:
        return None if column is None else json.loads(column)
    except RecursionError:
        return None


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


def claim(services: Services, task: Task, execution_arn: str, deadline: Deadline) -> Task:
    """Claim the attempt after the one that `task` was read at, for an execution.

    Asked again by the execution that has it already, the answer is the same.

    Raises:
        ClaimRefusedError: another execution is at work on the task, or was quicker.
        DatabaseUnavailableError, ExecutionsUnavailableError: trying again may help.
    """
    if task.execution_arn == execution_arn and task.status == "processing":
        return task
    if task.execution_arn != execution_arn and is_at_work(services.executions, task):
        raise ClaimRefusedError(task.task_id, task.attempt, task.execution_arn)
    return _take(services, task, execution_arn, deadline)


def _take(services: Services, task: Task, execution_arn: str, deadline: Deadline) -> Task:
    def take(connection: Connection) -> Task:
        taken = connection.execute(
            CLAIM, {"task_id": task.task_id, "attempt": task.attempt, "execution_arn": execution_arn}
        )
        now = read_task(connection, task.task_id)
        # Nothing taken, and yet ours: the COMMIT of an earlier try had worked after all.
        if taken.rowcount == 0 and now.execution_arn != execution_arn:
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
        return _take(services, task, execution_arn, deadline)
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


def set_current_step(connection: Connection, task_id: str, attempt: int, current_step: str) -> None:
    """Say in the task what its attempt is doing."""
    connection.execute(STEP, {"task_id": task_id, "attempt": attempt, "current_step": current_step})


def record_outcome(
    connection: Connection,
    task_id: str,
    attempt: int,
    *,
    status: str,
    failed_concepts: Mapping[str, Any] | None,
    execution_summary: Mapping[str, Any],
    error_message: str | None,
) -> bool:
    """Write how an attempt ended; `False` if the task is a newer attempt's and nothing was written."""
    written = connection.execute(
        RECORD,
        {
            "task_id": task_id,
            "attempt": attempt,
            "status": status,
            "current_step": status,
            "failed_concepts": None if failed_concepts is None else json.dumps(failed_concepts),
            "execution_summary": json.dumps(execution_summary),
            "error_message": error_message,
        },
    )
    return written.rowcount == 1
