"""Claims: claim an attempt of a task, and check which execution may write its outcome.

An attempt number is a fencing token. It is claimed by one conditional UPDATE and only increases. Only the
attempt in the task's row writes the task's status. If the product deletes the row and makes it again, or the
task's user is erased, the task has another life: its next attempt is number 1 again.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from ...contracts.api.capacity import QueuePlace
from ...contracts.errors import (
    AtWorkElsewhereError,
    ClaimRefusedError,
    NotAtContentStageError,
    StaleAttemptError,
    TaskCancelledError,
)
from ...contracts.payloads import Execution
from ...contracts.states import Cause, QueueState
from ...platform.aws.executions import Executions, ExecutionState
from ...platform.postgres.sqlstate import UNIQUE_VIOLATION
from ...platform.postgres.transactions import DataRefusedError, transact
from ...platform.runtime.deadline import Deadline
from ..outbox import record_events
from ..services import Services
from ..tasks.attempts import CONSOLE, AttemptStart, NewAttempt
from ..tasks.ownership import why_not_startable
from ..tasks.task import Task, claim_row, is_committed, read_product_work, read_task
from .capacity import NOTHING, Work
from .place import read_place
from .queue import Admitted, enqueue, was_admitted

STARTING = timedelta(seconds=60)
"""The age at which a sweep looks at a task in `processing`, and starts an admitted attempt again."""


def is_at_work(executions: Executions, task: Task) -> bool:
    """Whether the task's attempt waits in the queue, is about to be started, or is running.

    Step Functions is called only for an attempt that is live according to the tables: its run may have died.
    An admitted attempt whose execution does not exist yet is about to be started. One whose execution is to
    be redriven is about to run, although that execution is over.
    """
    if task.execution_arn is None or not task.is_live:
        return False
    if task.state in (QueueState.WAITING, QueueState.REDRIVING):
        return True
    execution = executions.state(task.execution_arn)
    if execution is ExecutionState.UNKNOWN:
        return task.state is QueueState.STARTING
    return execution is ExecutionState.RUNNING


def require_startable(connection: Connection, task: Task, *, take_over: bool) -> None:
    """Require that an attempt of a task may be started. `take_over` ignores the product's own work.

    Raises:
        NotAtContentStageError: the task has not reached content generation in the product.
        AtWorkElsewhereError: the product is processing a task of the roadmap.
    """
    work, work_on_others = read_product_work(connection, task.task_id)
    if refusal := why_not_startable(task, work, work_on_others, take_over=take_over):
        raise refusal


class Claim(NamedTuple):
    """The result of a claim."""

    task: Task
    """The task with its new attempt."""

    admitted: list[Admitted]
    """The attempts that the claim's transaction has admitted, perhaps its own: the caller starts them."""

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
    is written to the audit trail; `work` is the estimate by which it is admitted.

    Raises:
        ClaimRefusedError: another request has claimed the attempt first.
        TaskCancelledError: the task was cancelled after it had been read.
        NotAtContentStageError: the task has not reached content generation in the product.
        AtWorkElsewhereError: the product is processing a task of the roadmap, and `take_over` is not set.
        DatabaseUnavailableError: a retry may succeed.
    """
    new = _ClaimTransaction(task, execution_arn, start, QueueState.WAITING, work, take_over=take_over)
    return _take(services, new, deadline)


def claim_in_run(
    services: Services, task: Task, execution: Execution, deadline: Deadline, start: AttemptStart
) -> Task:
    """Claim an attempt for a running execution. An execution with an open attempt keeps it.

    Raises:
        TaskCancelledError: the task was cancelled since the execution was started or redriven.
        StaleAttemptError: the execution has ended, and this step was delivered late.
        ClaimRefusedError: another execution is processing the task, or has claimed it first.
        DatabaseUnavailableError, ExecutionsUnavailableError: a retry may succeed.
    """
    if task.disowned_by is not None:  # an execution is of the life before the erasure
        raise StaleAttemptError(f"the user of task {task.task_id} was erased: only a retry starts it again")
    if is_cancelled_since(task, execution):
        raise TaskCancelledError(f"task {task.task_id} was cancelled after {execution.arn} had been started")
    if task.is_unfinished(execution.arn) and not task.is_waiting:
        return task  # claimed for this execution, or by an earlier try of this step
    if task.execution_arn == execution.arn:
        if task.status == "cancelled" and task.attempt_is_open:
            raise TaskCancelledError(f"task {task.task_id} was cancelled during attempt {task.attempt}")
        # The attempt has its outcome, or waits: only a redrive continues the execution.
        if services.executions.state(execution.arn) is not ExecutionState.RUNNING:
            raise StaleAttemptError(f"{execution.arn} is over")
        if task.is_waiting:  # claimed for a redrive over the API; the console has redriven it before
            return task
    elif is_at_work(services.executions, task):
        raise ClaimRefusedError(task.task_id, task.attempt, task.execution_arn)
    new = _ClaimTransaction(task, execution.arn, start, redrive_count=execution.redrive_count)
    return _take(services, new, deadline).task


def is_cancelled_since(task: Task, execution: Execution) -> bool:
    """Whether a task was cancelled after an execution had been started, or redriven. No I/O. Starting or
    redriving an execution after the cancellation is a request to start again.
    """
    if task.status != "cancelled" or execution.requested_at is None:
        return False
    # Not `updated_at`: the outcome of the cancelled attempt is recorded later.
    cancelled_at = task.completed_at or task.updated_at
    return cancelled_at > execution.requested_at


@dataclass
class _ClaimTransaction:
    """The transaction that claims the attempt after the task's present one: its steps."""

    task: Task
    execution_arn: str
    start: AttemptStart
    state: QueueState = QueueState.RUNNING
    work: Work = NOTHING
    redrive_count: int = 0
    take_over: bool = False
    transaction_id: str | None = None
    """The transaction of the last try that has claimed it: its COMMIT may have got no answer."""

    @property
    def number(self) -> int:
        return self.task.attempt + 1

    def claim(self, connection: Connection, services: Services) -> Task | None:
        """Claim the task's row, and write the caller's record that belongs to the claim. `None` if the row
        has another attempt, or the task was cancelled, since it was read.
        Raises ContentError: the product, an exclusion or the caller refuses the attempt.
        """
        require_startable(connection, self.task, take_over=self.take_over)
        claimed = claim_row(connection, self.task, self.execution_arn)
        if claimed is None:
            return None
        task, self.transaction_id = claimed
        # After the claim, which has locked the task's row: what excludes the task later waits for that lock.
        services.require_permitted(connection, task.task_id, read_at=self.task.read_at)
        if self.start.on_claim is not None:
            self.start.on_claim(connection, self.number)
        return task

    def enqueue(self, connection: Connection, services: Services, claimed: Task) -> Claim:
        """Put the attempt into the queue, admit waiting attempts, perhaps itself, and record their events.
        Raises ClaimRefusedError: the attempt before it, which waited, was admitted since the task was read.
        """
        task_id, start = self.task.task_id, self.start
        was_cancelled = self.task.status == "cancelled"
        new = NewAttempt(task_id, self.number, self.execution_arn, start, self.redrive_count, was_cancelled)
        admitted = enqueue(connection, new, self.state, self.work)
        # After the entry, which has ended that of the attempt before it: no admission changes it any more.
        has_waited = self.task.queue_state == QueueState.WAITING
        if has_waited and was_admitted(connection, task_id, self.task.attempt):
            raise ClaimRefusedError(task_id, self.task.attempt, self.task.execution_arn)
        events = [attempt.event for attempt in admitted]
        state, place = self.state, None
        at_once = [one for one in admitted if (one.task_id, one.attempt) == (task_id, new.attempt)]
        if at_once:  # its event is that of its admission
            state = QueueState(at_once[0].state)
        elif state is QueueState.WAITING and (place := read_place(connection, task_id, new.attempt)):
            events.append(claimed.events.queued(start.actor, start.cause, place.position))
        else:
            events.append(claimed.events.started(start.actor, start.cause))
        record_events(services, connection, events)
        return Claim(replace(claimed, queue_state=state), admitted, place)

    def claimed_before(self, connection: Connection) -> Claim:
        """The claim of an earlier try of the transaction or of the step, if the row has it; otherwise the
        reason why the claim has failed.
        Raises TaskCancelledError, ClaimRefusedError, StaleAttemptError: there is no such claim.
        """
        now = read_task(connection, self.task.task_id)
        if now.attempt == self.task.attempt:
            if now.status != "cancelled":
                raise StaleAttemptError(f"{self.execution_arn} is of an earlier life of task {now.task_id}")
            raise TaskCancelledError(f"task {now.task_id} was cancelled before its attempt was claimed")
        # The execution identifies a claim: a new one has a new name, and a run claims only for itself. Only a
        # redrive may be requested twice for one execution: then the transaction identifies its claim.
        may_be_ours = self.start.cause is not Cause.CHECKPOINT or (
            self.transaction_id is not None and is_committed(connection, self.transaction_id)
        )
        if not may_be_ours or (now.attempt, now.execution_arn) != (self.number, self.execution_arn):
            raise ClaimRefusedError(now.task_id, now.attempt, now.execution_arn)
        by, admitted = (self.start.actor, self.start.cause), []
        if now.state in (QueueState.STARTING, QueueState.REDRIVING):
            admitted.append(
                Admitted(now.task_id, self.number, now.state, self.execution_arn, *by, now.roadmap_id)
            )
        place = read_place(connection, now.task_id, now.attempt) if now.is_waiting else None
        return Claim(now, admitted, place)


def _take(services: Services, new: _ClaimTransaction, deadline: Deadline) -> Claim:
    """Claim an attempt and put it into the queue, in one transaction, so that a crash loses neither. Raises
    as `claim` and `claim_in_run` do.
    """

    def take(connection: Connection) -> Claim:
        claimed = new.claim(connection, services)
        if claimed is None:
            return new.claimed_before(connection)
        return new.enqueue(connection, services, claimed)

    try:
        return transact(services.engine, take, deadline)
    except DataRefusedError as refusal:
        if refusal.sqlstate != UNIQUE_VIOLATION:
            raise
        # The task has another open attempt: this claim is the second of two.
        now = transact(services.engine, read_task, deadline, new.task.task_id)
        raise ClaimRefusedError(now.task_id, now.attempt, now.execution_arn) from refusal


def claim_to_record(services: Services, task: Task, execution_arn: str, deadline: Deadline) -> Task:
    """Claim a task's first attempt for an execution that failed before its claim; return the task.

    Without an attempt, the end of the execution could not be recorded, and the task would stay pending
    forever. Not changed is a task that was already claimed or cancelled, that the product is processing, or
    whose execution is from before an erasure of its user: it is returned as it is now.
    """
    if task.attempt > 0 or task.status == "cancelled" or task.disowned_by is not None:
        return task
    try:
        new = _ClaimTransaction(task, execution_arn, AttemptStart(CONSOLE, Cause.FIRST_RUN))
        return _take(services, new, deadline).task
    except (AtWorkElsewhereError, NotAtContentStageError, StaleAttemptError):
        return task
    except (ClaimRefusedError, TaskCancelledError):  # changed since it was read
        return transact(services.engine, read_task, deadline, task.task_id)


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
    if task.attempt != attempt or not task.is_unfinished(execution_arn):
        over = "" if task.completed_at is None else " (over)"
        raise StaleAttemptError(
            f"attempt {attempt} of task {task_id} is not this execution's, or is over: "
            f"the task is at attempt {task.attempt}{over}, {task.execution_arn}"
        )
    return task
