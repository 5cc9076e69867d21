"""Claims: claim an attempt of a task, and check which execution may write its outcome.

An attempt number is a fencing token. It is claimed by one conditional UPDATE and only increases. Only the
attempt in the task's row writes the task's status.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from ...content.roadmaps.metadata import load_framework
from ...content.rows import current_rows, unreplaced
from ...contracts.errors import (
    AtWorkElsewhereError,
    ClaimRefusedError,
    InvalidFrameworkError,
    NotAtContentStageError,
    RoadmapNotFoundError,
    StaleAttemptError,
    TaskCancelledError,
)
from ...contracts.events import attempt_queued, attempt_started
from ...contracts.items import Item, count_by_type
from ...contracts.payloads import Execution
from ...platform.aws.executions import Executions, ExecutionState
from ...platform.postgres.times import utc
from ...platform.postgres.transactions import transact
from ...platform.runtime.deadline import Deadline
from ..failures.failures import failures_of_attempt
from ..outbox import record_events
from ..services import Services
from ..tasks.attempts import (
    CONSOLE,
    AttemptStart,
    Cause,
    close_attempt,
    is_cancelled,
    open_attempt,
    read_scope,
)
from ..tasks.ownership import why_not_startable
from ..tasks.task import Task, claim_row, read_product_work, read_task
from ..tasks.work import NOTHING, QueueState, Work
from .places import QueuePlace, read_place
from .queue import Admitted, admit, enqueue

STARTING = timedelta(seconds=60)
"""The age at which a sweep looks at a task in `processing`, and starts an admitted attempt again."""


def is_at_work(executions: Executions, task: Task) -> bool:
    """Whether the task's attempt waits in the queue, is about to be started, or is running.

    Step Functions is asked only about an attempt that is live according to the tables: its run may have died.
    An admitted attempt is started until its execution exists. Only for a redrive, an execution that is over
    may be about to run.
    """
    if task.execution_arn is None or not task.is_live:
        return False
    if task.queue_state in (QueueState.WAITING, QueueState.REDRIVING):
        return True
    state = executions.state(task.execution_arn)
    if state is ExecutionState.UNKNOWN:
        return task.queue_state == QueueState.STARTING
    return state is ExecutionState.RUNNING


def is_unfinished(task: Task, execution_arn: str) -> bool:
    """Whether the task's attempt belongs to an execution and has no outcome yet."""
    return task.execution_arn == execution_arn and task.completed_at is None


class Claim(NamedTuple):
    """A claimed attempt, and the attempts that its claim has admitted, perhaps itself."""

    task: Task
    admitted: list[Admitted]
    place: QueuePlace | None
    """Its place in the queue, if it waits."""


def claim(
    services: Services,
    task: Task,
    execution_arn: str,
    deadline: Deadline,
    start: AttemptStart,
    work: Work,
    *,
    take_over: bool = False,
) -> Claim:
    """Claim the attempt after `task.attempt`, and put it into the queue. The task must not be at work.

    Its execution is started when the attempt is admitted, or redriven if the cause is a checkpoint. `start`
    is written to the audit trail.

    Raises:
        ClaimRefusedError: another request has claimed the attempt first.
        TaskCancelledError: the task was cancelled after it had been read.
        NotAtContentStageError: the task has not reached content generation in the product.
        AtWorkElsewhereError: the product is processing a task of the roadmap, and `take_over` is not set.
        DatabaseUnavailableError: a retry may succeed.
    """
    waiting = QueueState.WAITING
    return _take(services, task, execution_arn, deadline, start, waiting, work, take_over=take_over)


def claim_in_run(
    services: Services,
    task: Task,
    execution: Execution,
    deadline: Deadline,
    start: AttemptStart,
) -> Task:
    """Claim an attempt for a running execution. An execution with an open attempt keeps it.

    Raises:
        TaskCancelledError: the task was cancelled since the execution was started or redriven.
        StaleAttemptError: the execution has ended, and this step was delivered late.
        ClaimRefusedError: another execution is processing the task, or has claimed it first.
        DatabaseUnavailableError, ExecutionsUnavailableError: a retry may succeed.
    """
    if is_cancelled_since(task, execution):
        raise TaskCancelledError(f"task {task.task_id} was cancelled after {execution.arn} had been started")
    if is_unfinished(task, execution.arn) and not task.is_waiting:
        return task
    if task.execution_arn == execution.arn:
        if task.status == "cancelled" and task.attempt_is_open:
            raise TaskCancelledError(f"task {task.task_id} was cancelled during attempt {task.attempt}")
        # The attempt has its outcome, or waits: only a redrive continues the execution.
        if services.executions.state(execution.arn) is not ExecutionState.RUNNING:
            raise StaleAttemptError(f"{execution.arn} is over")
        if task.is_waiting:
            return task
    elif is_at_work(services.executions, task):
        raise ClaimRefusedError(task.task_id, task.attempt, task.execution_arn)
    running, redrives = QueueState.RUNNING, execution.redrive_count
    return _take(services, task, execution.arn, deadline, start, running, redrive_count=redrives).task


def is_cancelled_since(task: Task, execution: Execution) -> bool:
    """Whether a task was cancelled after an execution had been started, or redriven. No I/O.

    Starting or redriving an execution after the cancellation is a request to start again.
    """
    if task.status != "cancelled" or execution.requested_at is None:
        return False
    # Not `updated_at`: the outcome of the cancelled attempt is recorded later.
    cancelled_at = task.completed_at or task.updated_at
    return utc(cancelled_at) > execution.requested_at


MOST_ADMITTED = 20
"""Maximum attempts that one transaction admits. The next one continues."""


def _take(
    services: Services,
    task: Task,
    execution_arn: str,
    deadline: Deadline,
    start: AttemptStart,
    state: QueueState,
    work: Work = NOTHING,
    *,
    redrive_count: int = 0,
    take_over: bool = False,
) -> Claim:
    """Claim an attempt and put it into the queue, in one transaction, so that a crash loses neither."""
    attempt = task.attempt + 1
    # Another request for a redrive claims the same execution. The steps of a run may be delivered twice.
    may_be_claimed = start.cause is not Cause.CHECKPOINT

    def take(connection: Connection) -> Claim:
        nonlocal may_be_claimed
        own, siblings = read_product_work(connection, task.task_id)
        if refusal := why_not_startable(task, own, siblings, take_over=take_over):
            raise refusal
        claimed = claim_row(connection, task, execution_arn)
        admitted: list[Admitted] = []
        place = None
        if claimed:
            superseded = open_attempt(connection, task.task_id, attempt, execution_arn, start, redrive_count)
            for earlier in superseded:
                _close_superseded(connection, task, earlier)
            if start.on_claim is not None:
                start.on_claim(connection, attempt)
            # Last, because it locks the capacity until the COMMIT.
            queue_class = start.cause.queue_class
            enqueue(connection, task.task_id, attempt, queue_class, state, work, start.tenant)
            if state is QueueState.WAITING:
                admitted = admit(connection, MOST_ADMITTED)
            record_admissions(services, connection, admitted)
            if (task.task_id, attempt) not in [one[:2] for one in admitted]:
                about = task.task_id, task.roadmap_id, attempt, start.actor, str(start.cause)
                if state is QueueState.WAITING:
                    place = read_place(connection, task.task_id, attempt)
                event = attempt_started(*about) if place is None else attempt_queued(*about, place.position)
                record_events(services, connection, [event])
        now = read_task(connection, task.task_id)
        # 0 rows updated but the claim is ours: an earlier COMMIT succeeded without an answer.
        may_be_claimed = may_be_claimed or claimed
        ours = may_be_claimed and (now.attempt, now.execution_arn) == (attempt, execution_arn)
        if not claimed and now.attempt == task.attempt:
            raise TaskCancelledError(f"task {task.task_id} was cancelled before its attempt was claimed")
        if not claimed and not ours:
            raise ClaimRefusedError(now.task_id, now.attempt, now.execution_arn)
        if not claimed and now.queue_state in (QueueState.STARTING, QueueState.REDRIVING):
            admitted = [
                Admitted(now.task_id, attempt, execution_arn, start.actor, start.cause, now.roadmap_id)
            ]
        return Claim(now, admitted, place)

    return transact(services.engine, take, deadline)


def record_admissions(services: Services, connection: Connection, admitted: Sequence[Admitted]) -> None:
    """Record the events of admitted attempts, in the transaction that admits them."""
    record_events(
        services,
        connection,
        [attempt_started(one.task_id, one.roadmap_id, one.attempt, one.actor, one.cause) for one in admitted],
    )


def _close_superseded(connection: Connection, task: Task, attempt: int) -> None:
    """Complete the row of an earlier attempt without a recorded outcome, with the current counts."""
    missing = _missing(connection, task, attempt)
    failed, outcome = missing, "superseded"
    if task.status == "cancelled" or is_cancelled(connection, task.task_id, attempt):
        known = failures_of_attempt(connection, task.task_id, attempt)
        failed, outcome = [item for item in missing if item in known], "cancelled"
    counts = count_by_type(missing), count_by_type(failed)
    close_attempt(connection, task.task_id, attempt, *counts, outcome)


def _missing(connection: Connection, task: Task, attempt: int) -> list[Item]:
    """The items of an attempt that are currently not saved or not replaced."""
    scope, replaces = read_scope(connection, task.task_id, attempt)
    try:
        framework = load_framework(connection, task.roadmap_id, task.user_id)
    except (RoadmapNotFoundError, InvalidFrameworkError):
        return []  # as in the outcome of a task without a readable framework
    rows = current_rows(connection, task.roadmap_id or "")
    missing = framework.missing(rows)
    return [*filter(scope.includes, missing), *unreplaced(rows, replaces)]


def claim_to_record(services: Services, task: Task, execution_arn: str, deadline: Deadline) -> Task:
    """Claim a task's first attempt for an execution that failed before its claim; return the task.

    Without an attempt, the end of the execution could not be recorded, and the task would stay pending
    forever. A task that was already claimed or cancelled, or that the product is processing, is not changed.
    """
    if task.attempt > 0 or task.status == "cancelled":
        return task
    try:
        start = AttemptStart(CONSOLE, Cause.FIRST_RUN)
        return _take(services, task, execution_arn, deadline, start, QueueState.RUNNING).task
    except (AtWorkElsewhereError, NotAtContentStageError):
        return task
    except (ClaimRefusedError, TaskCancelledError):
        return transact(services.engine, lambda connection: read_task(connection, task.task_id), deadline)


def require_open(connection: Connection, task_id: str, attempt: int, execution_arn: str) -> Task:
    """Read the task of an attempt, and require that this execution owns the attempt and has no outcome yet.

    Raises:
        TaskNotFoundError: there is no such task.
        TaskCancelledError: the task is cancelled.
        StaleAttemptError: the attempt has ended, or the row contains another attempt or another execution.
    """
    task = read_task(connection, task_id)
    if task.status == "cancelled":
        raise TaskCancelledError(f"task {task_id} is cancelled")
    if task.attempt != attempt or not is_unfinished(task, execution_arn):
        over = " (over)" if task.completed_at is not None else ""
        raise StaleAttemptError(
            f"attempt {attempt} of task {task_id} is not this execution's, or is over: "
            f"the task is at attempt {task.attempt}{over}, {task.execution_arn}"
        )
    return task
