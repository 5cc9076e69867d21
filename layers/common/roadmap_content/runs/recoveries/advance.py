"""Advance a recovery: check its running tasks, then claim attempts for as many as its limits allow.

A recovery has no execution. It is a producer of the queue's bulk class: it is advanced when it is created or
resumed, at the end of each of its runs, and by the sweep. Each may be repeated, crash at any point, or run at
the same time as another: every claim checks the recovery's state and limits in its own transaction.
"""

from collections.abc import Sequence
from enum import Enum, auto
from functools import partial

from sqlalchemy import Connection

from ...contracts.errors import ChangedSinceError, ContentError, RecoveryStoppedError, TransientError
from ...contracts.events import recovery_ended
from ...contracts.states import Cause, RecoveryState, TaskResult
from ...platform.postgres.transactions import RESERVE, transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.metrics import Metric, emit
from ...state.outbox import record_events
from ...state.queue.queue import hold_attempts, waiting_attempts
from ...state.services import Services
from ...state.tasks.attempts import AttemptStart, cancel_attempt, recovery_actor
from ...state.tasks.scope import WHOLE_TASK, Scope, decode_revisions
from ..retries.retry import retry_task
from ..steps.finalize import RunEnd, finalize_attempt
from .decisions import Settlement, is_over, may_start, next_state, result_without_attempt, settle
from .recovery import read_recovery, unfinished_recoveries, write_recovery
from .recovery_tasks import (
    WaitingTask,
    claim_task,
    count_tasks,
    end_task,
    read_progress,
    record_settlements,
    refuse_waiting,
    running_tasks,
    waiting_tasks,
)

START_SECONDS = 3.0
"""The time limit for starting one task, in seconds."""

CANCELLED = "RecoveryCancelled"
"""The reason of tasks that a cancelled recovery does not start."""

_STOP_REASONS = {
    RecoveryState.STOPPED_BY_CANARY: "RecoveryStoppedByCanary",
    RecoveryState.STOPPED_BY_BUDGET: "RecoveryStoppedByBudget",
    RecoveryState.CANCELLED: CANCELLED,
}


class _Started(Enum):
    CLAIMED = auto()
    ENDED = auto()
    """Without an attempt: it was refused, or nothing is missing."""

    NOT_NOW = auto()


def advance(services: Services, recovery_id: str, deadline: Deadline) -> None:
    """Record ended tasks, and start as many as the limits allow.

    Raises:
        DatabaseUnavailableError, ExecutionsUnavailableError: it can be repeated.
    """
    ended = True
    while ended and deadline.remaining > START_SECONDS + RESERVE:
        ended = False
        for task in transact(services.engine, partial(_observe, services, recovery_id), deadline):
            if deadline.remaining < START_SECONDS + RESERVE:
                return
            started = _start_task(services, recovery_id, task, deadline)
            if started is _Started.NOT_NOW:
                return
            ended = ended or started is _Started.ENDED


def advance_all(services: Services, deadline: Deadline) -> None:
    """Advance every unfinished recovery while there is time. One that fails does not affect the others."""
    for recovery_id in transact(services.engine, unfinished_recoveries, deadline):
        if deadline.remaining < START_SECONDS + RESERVE:
            return
        advance_if_possible(services, recovery_id, deadline)


def advance_if_possible(services: Services, recovery_id: str, deadline: Deadline) -> None:
    """Advance a recovery; an error is logged, because the sweep advances it again."""
    try:
        _end_held(services, recovery_id, deadline)
        advance(services, recovery_id, deadline)
    except ContentError as error:
        logger.error(
            "recovery_not_advanced", recovery_id=recovery_id, error_code=error.code, reason=str(error)
        )


def _end_held(services: Services, recovery_id: str, deadline: Deadline) -> None:
    """End the attempts of a cancelled recovery that wait. Their tasks return to their former states."""

    def held(connection: Connection) -> Sequence[tuple[str, int]]:
        recovery = read_recovery(connection, recovery_id)
        if recovery is None or recovery.state != RecoveryState.CANCELLED:
            return []
        return waiting_attempts(connection, recovery_actor(recovery_id))

    def withdraw(task_id: str, attempt: int, connection: Connection) -> None:
        cancel_attempt(connection, task_id, attempt)
        refused = Settlement(task_id, TaskResult.REFUSED, CANCELLED, 0)
        record_settlements(connection, recovery_id, [refused])

    for task_id, attempt in transact(services.engine, held, deadline):
        if deadline.remaining > START_SECONDS + RESERVE:
            first = partial(withdraw, task_id, attempt)
            finalize_attempt(services, task_id, attempt, RunEnd(), deadline, first=first)


def _observe(services: Services, recovery_id: str, connection: Connection) -> list[WaitingTask]:
    """Record ended tasks, decide the state, and return the tasks to start."""
    recovery = read_recovery(connection, recovery_id, lock=True)
    if recovery is None or recovery.ended_at is not None:
        return []
    settled = [settle(task) for task in running_tasks(connection, recovery_id)]
    ended = [settlement for settlement in settled if settlement is not None]
    record_settlements(connection, recovery_id, ended)
    progress = read_progress(connection, recovery_id, recovery.breaker)
    state, stop_reason = next_state(RecoveryState(recovery.state), recovery, progress)
    if state in _STOP_REASONS and progress.waiting:
        refuse_waiting(connection, recovery_id, _STOP_REASONS[state])
    over = is_over(state, progress)
    write_recovery(connection, recovery, state=state, stop_reason=stop_reason, ended=over)
    if over:
        record_end(services, connection, recovery_id, state)
    if state is RecoveryState.PAUSED_BY_BREAKER:
        hold_attempts(connection, recovery_actor(recovery_id))
    if ended:
        results = [settlement.result for settlement in ended]
        emit(
            {
                Metric.RECOVERY_TASKS_RECOVERED: results.count(TaskResult.RECOVERED),
                Metric.RECOVERY_TASKS_STILL_FAILING: results.count(TaskResult.STILL_FAILING),
            }
        )
    if state != recovery.state:
        logger.info("recovery_state_changed", recovery_id=recovery_id, state=state, reason=stop_reason)
        if stop_reason is not None:
            emit({Metric.RECOVERIES_STOPPED: 1})
    allowed, _ = may_start(state, recovery, progress, recovery.next_start_at, recovery.now)
    if not allowed:
        return []
    return waiting_tasks(connection, recovery_id, allowed, canary_only=state is RecoveryState.CANARY)


def record_end(services: Services, connection: Connection, recovery_id: str, state: str) -> None:
    """Record the event that a recovery has ended, in the transaction that ends it."""
    results = count_tasks(connection, recovery_id).results
    counts = {"total": sum(results.values())} | {str(result): tasks for result, tasks in results.items()}
    record_events(services, connection, [recovery_ended(recovery_id, state, counts)])


def _start_task(services: Services, recovery_id: str, task: WaitingTask, deadline: Deadline) -> _Started:
    def on_claim(connection: Connection, attempt: int) -> None:
        claim_task(connection, recovery_id, task, attempt)

    scope = WHOLE_TASK if task.items is None else Scope(None, None, True, decode_revisions(task.items))
    start = AttemptStart(recovery_actor(recovery_id), Cause.RECOVERY, recovery_id, scope, on_claim)
    try:
        answer = retry_task(services, task.task_id, None, deadline, start)
    except RecoveryStoppedError:
        return _Started.NOT_NOW
    except TransientError as error:
        logger.warning(
            "recovery_task_not_started",
            recovery_id=recovery_id,
            task_id=task.task_id,
            error_code=error.code,
            reason=str(error),
        )
        return _Started.NOT_NOW
    except ContentError as error:
        result, reason = TaskResult.REFUSED, f"{error.code}: {error}"[:500]
    else:
        if answer.status == "processing":
            emit({Metric.RECOVERY_TASKS_STARTED: 1})
            return _Started.CLAIMED
        result, reason = result_without_attempt(task.status), "NothingMissing"
        if task.items is not None:
            result, reason = TaskResult.REFUSED, ChangedSinceError.code

    transact(
        services.engine, lambda connection: end_task(connection, recovery_id, task, result, reason), deadline
    )
    return _Started.ENDED
