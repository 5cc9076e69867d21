"""Advance a recovery: check its running tasks, then claim attempts for as many as its limits allow. Pause,
resume and cancel it.

A recovery has no execution. It is a producer of the queue's bulk class: it is advanced when it is created or
resumed, at the end of each of its runs, and by the sweep. Each may be repeated, crash at any point, or run at
the same time as another: every claim checks the recovery's state and limits in its own transaction.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from ...content.roadmaps.metadata import lock_roadmap_of
from ...contracts.errors import ChangedSinceError, ContentError, TransientError
from ...contracts.items import MAX_REASON
from ...contracts.states import Cause, RecoveryState, TaskResult
from ...platform.postgres.transactions import (
    RESERVE,
    DataRefusedError,
    is_of_this_task,
    transact,
    transact_in_parts,
)
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.metrics import Metric, emit
from ...runs.retries.retry import retry_task
from ...runs.steps.end_attempt import RunEnd, end_attempt
from ...state.failures.failures import failures_of_attempt
from ...state.outbox import record_events
from ...state.queue.admission import admit_waiting
from ...state.queue.queue import hold_attempts, return_attempts
from ...state.services import Services
from ...state.tasks.attempts import AttemptStart, cancel_attempt
from ...state.tasks.scope import WHOLE_TASK, Scope, decode_revisions
from ...state.tasks.task import lock_task
from .decisions import (
    FINAL_STATES,
    PAUSED_STATES,
    Settlement,
    cause_of,
    has_cause,
    has_ended,
    may_start,
    next_state,
    settlement_of,
)
from .errors import RecoveryStateError, RecoveryStoppedError
from .recovery import (
    Recovery,
    read_recovery,
    recovery_actor,
    recovery_ended,
    resume_recovery,
    unfinished_recoveries,
    write_recovery,
)
from .recovery_tasks import (
    WaitingTask,
    claim_task,
    count_tasks,
    end_task,
    read_progress,
    record_settlements,
    refuse_waiting,
    running_tasks,
    waiting_attempts,
    waiting_tasks,
)

ADVANCE_SECONDS = 8.0
"""The time that a request may take to start the first tasks of a recovery. The sweep starts the others."""

START_SECONDS = 3.0
"""The time limit for starting one task, in seconds."""

NOTHING_MISSING = "NothingMissing"
"""The reason of a task without an item that the recovery retries."""

_STOP_REASONS = {  # of the tasks that a stopped recovery does not start
    RecoveryState.STOPPED_BY_CANARY: "RecoveryStoppedByCanary",
    RecoveryState.STOPPED_BY_BUDGET: "RecoveryStoppedByBudget",
    RecoveryState.CANCELLED: "RecoveryCancelled",
}


def advance(services: Services, recovery_id: str, deadline: Deadline) -> None:
    """Record ended tasks, and start as many as the limits allow: in one step, unless a task ends without an
    attempt, or there is a budget, of which each start changes the rest. If one cannot be started now, stop:
    the sweep goes on. Raises DatabaseUnavailableError: it can be repeated.
    """
    may_start_more = True
    while may_start_more and deadline.remaining > START_SECONDS + RESERVE:
        step = transact(services.engine, _step, deadline, services, recovery_id)
        _report(step)
        may_start_more = bool(step.to_start) and step.recovery.token_budget is not None
        for task in step.to_start:
            if deadline.remaining < START_SECONDS + RESERVE:
                return
            try:
                is_over = _start_task(services, step.recovery, task, deadline)
            except RecoveryStoppedError:
                return
            except (TransientError, DataRefusedError) as error:
                logger.warning(
                    "recovery_task_not_started", recovery_id=recovery_id, task_id=task.task_id, **error.why
                )
                return
            may_start_more = may_start_more or is_over


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
        logger.error("recovery_not_advanced", recovery_id=recovery_id, **error.why)


def _end_held(services: Services, recovery_id: str, deadline: Deadline) -> None:
    """End the attempts of a cancelled recovery that wait. Their tasks return to their former states."""

    def waiting(connection: Connection) -> Sequence[tuple[str, int]]:
        recovery = read_recovery(connection, recovery_id)
        is_cancelled = recovery.state == RecoveryState.CANCELLED
        return waiting_attempts(connection, recovery_actor(recovery_id)) if is_cancelled else []

    def withdraw(connection: Connection, task_id: str, attempt: int) -> None:
        """End a waiting attempt, and record that the recovery refuses its task. The locks come in order."""
        lock_roadmap_of(connection, task_id)
        lock_task(connection, task_id)
        reason = _STOP_REASONS[RecoveryState.CANCELLED]
        record_settlements(connection, recovery_id, [Settlement(task_id, TaskResult.REFUSED, reason, 0)])
        cancel_attempt(connection, task_id, attempt)
        end_attempt(connection, services, task_id, attempt, RunEnd())

    for task_id, attempt in transact(services.engine, waiting, deadline):
        if deadline.remaining > START_SECONDS + RESERVE:
            transact_in_parts(services.engine, withdraw, deadline, task_id, attempt)


class _Step(NamedTuple):
    """What a step has recorded, and what follows after its COMMIT."""

    recovery: Recovery
    """As it was before the step."""

    state: str
    stop_reason: str | None = None
    settled: Sequence[Settlement] = ()
    to_start: Sequence[WaitingTask] = ()


def _step(connection: Connection, services: Services, recovery_id: str) -> _Step:
    """Record the tasks that have ended, write the recovery's next state, and find the tasks to start."""
    recovery = read_recovery(connection, recovery_id, lock=True)
    if recovery.ended_at is not None:
        return _Step(recovery, recovery.state)
    settlements = [settlement_of(task) for task in running_tasks(connection, recovery_id)]
    settled = [settlement for settlement in settlements if settlement is not None]
    record_settlements(connection, recovery_id, settled)
    progress = read_progress(connection, recovery_id, recovery.breaker)
    changes_contents = recovery.instruction is not None
    state, stop_reason = next_state(
        RecoveryState(recovery.state), recovery, progress, pauses_after_canary=changes_contents
    )
    if state in _STOP_REASONS:
        refuse_waiting(connection, recovery_id, _STOP_REASONS[state])
    _write_state(services, connection, recovery, state, stop_reason, ended=has_ended(state, progress))
    if state is RecoveryState.PAUSED_BY_BREAKER:
        hold_attempts(connection, recovery_actor(recovery_id))
    step = _Step(recovery, state, stop_reason, settled)
    starts = may_start(state, recovery, progress, recovery.next_start_at, recovery.now)
    if not starts.number:
        return step
    canary_only = state is RecoveryState.CANARY
    to_start = waiting_tasks(connection, recovery_id, starts.number, canary_only=canary_only)
    return step._replace(to_start=to_start)


def _report(step: _Step) -> None:
    """Write the metrics of tasks that have ended, and metric and log entry of a new state. Only after the
    COMMIT: a try of the transaction that is rolled back has recorded nothing.
    """
    if step.settled:
        results = [settlement.result for settlement in step.settled]
        emit(
            {
                Metric.RECOVERY_TASKS_RECOVERED: results.count(TaskResult.RECOVERED),
                Metric.RECOVERY_TASKS_STILL_FAILING: results.count(TaskResult.STILL_FAILING),
            }
        )
    if step.state != step.recovery.state:
        recovery_id = step.recovery.recovery_id
        logger.info(
            "recovery_state_changed", recovery_id=recovery_id, state=step.state, reason=step.stop_reason
        )
        if step.stop_reason is not None:
            emit({Metric.RECOVERIES_STOPPED: 1})


def _write_state(
    services: Services,
    connection: Connection,
    recovery: Recovery,
    state: RecoveryState,
    stop_reason: str | None = None,
    *,
    ended: bool,
) -> None:
    """Write the state of a locked recovery, and the event of its end in the transaction that ends it."""
    write_recovery(connection, recovery, state=state, stop_reason=stop_reason, ended=ended)
    if ended:
        counts = count_tasks(connection, recovery.recovery_id).by_result
        record_events(services, connection, [recovery_ended(recovery.recovery_id, state, counts)])


def _start_task(services: Services, recovery: Recovery, task: WaitingTask, deadline: Deadline) -> bool:
    """Start a task; return whether it has ended without an attempt: it was refused, or misses nothing.
    Raises RecoveryStoppedError, TransientError, DataRefusedError: it cannot be started now.
    """
    recovery_id = recovery.recovery_id

    def on_claim(connection: Connection, attempt: int) -> None:
        claim_task(connection, recovery_id, task, attempt)

    scope = _scope_of(services, recovery, task, deadline)
    start = AttemptStart(recovery_actor(recovery_id), Cause.RECOVERY, recovery.reason, scope, on_claim)
    try:
        answer = retry_task(services, task.task_id, user_id=None, deadline=deadline, start=start)
    except ContentError as error:
        if isinstance(error, RecoveryStoppedError) or not is_of_this_task(error):
            raise
        result, reason = TaskResult.REFUSED, f"{error.code}: {error}"[:MAX_REASON]
    else:
        if answer.status == "processing":
            emit({Metric.RECOVERY_TASKS_STARTED: 1})
            return False
        if task.items is not None:  # each of them has been changed since the recovery was created
            result, reason = TaskResult.REFUSED, ChangedSinceError.code
        elif task.status != "completed" and answer.status == "completed":  # the retry corrected its records
            result, reason = TaskResult.RECOVERED, NOTHING_MISSING
        else:  # it was complete before, or misses only items that the recovery is not about
            result, reason = TaskResult.REFUSED, NOTHING_MISSING
    transact(services.engine, end_task, deadline, recovery_id, task, result, reason)
    return True


def _scope_of(services: Services, recovery: Recovery, task: WaitingTask, deadline: Deadline) -> Scope:
    """The items of a task that a recovery regenerates, or retries: those whose failure in the latest attempt
    has the recovery's cause; without a cause, all missing ones.
    """
    if task.items is not None:
        revisions = decode_revisions(task.items)
        return Scope(regenerate=True, revisions=revisions, instruction=recovery.instruction)
    cause = cause_of(recovery.filter)
    if not cause or task.attempt is None:  # a deleted task: its retry is refused
        return WHOLE_TASK
    failures = transact(services.engine, failures_of_attempt, deadline, task.task_id, task.attempt)
    of_cause = [item for item, failure in failures.items() if has_cause(failure, cause)]
    return Scope(revisions=dict.fromkeys(of_cause))  # no revision: they are missing


def pause(services: Services, recovery_id: str, deadline: Deadline) -> None:
    """Pause a recovery: start no further task. Its waiting attempts leave the order of the queue until it is
    resumed. Running tasks are still recorded. Idempotent.
    Raises RecoveryNotFoundError, RecoveryStateError: there is none, or it has ended.
    """

    def change(connection: Connection) -> bool:
        recovery = read_recovery(connection, recovery_id, lock=True)
        _require_open(recovery)
        if recovery.state in PAUSED_STATES:
            return False
        write_recovery(connection, recovery, state=RecoveryState.PAUSED)
        hold_attempts(connection, recovery_actor(recovery_id))
        return True

    if transact(services.engine, change, deadline):
        logger.info("recovery_paused", recovery_id=recovery_id)


def resume(services: Services, recovery_id: str, deadline: Deadline) -> None:
    """Resume a recovery that was paused, by a person or by its breaker. If it is not paused, nothing happens.
    Raises RecoveryNotFoundError, RecoveryStateError: there is none, or it has ended.
    """

    def change(connection: Connection) -> bool:
        recovery = read_recovery(connection, recovery_id, lock=True)
        _require_open(recovery)
        if recovery.state not in PAUSED_STATES:
            return False
        resume_recovery(connection, recovery)
        return_attempts(connection, recovery_actor(recovery_id))
        return True

    if transact(services.engine, change, deadline):
        logger.info("recovery_resumed", recovery_id=recovery_id)
        admit_waiting(services, deadline.within(ADVANCE_SECONDS))
        advance_if_possible(services, recovery_id, deadline.within(ADVANCE_SECONDS))


def cancel(services: Services, recovery_id: str, deadline: Deadline) -> None:
    """Cancel a recovery: start no further task, permanently. Running tasks are still recorded; waiting
    attempts end, and their tasks return to their former states. The sweep records the others, if any.
    Raises RecoveryNotFoundError, RecoveryStateError: there is none, or it has ended otherwise.
    """

    def change(connection: Connection) -> bool:
        recovery = read_recovery(connection, recovery_id, lock=True)
        if recovery.state == RecoveryState.CANCELLED:
            return False
        _require_open(recovery)
        refuse_waiting(connection, recovery_id, _STOP_REASONS[RecoveryState.CANCELLED])
        hold_attempts(connection, recovery_actor(recovery_id))  # until `_end_held` ends them
        running = read_progress(connection, recovery_id).running
        _write_state(services, connection, recovery, RecoveryState.CANCELLED, ended=not running)
        return True

    if transact(services.engine, change, deadline):
        logger.info("recovery_cancelled", recovery_id=recovery_id)
    advance_if_possible(services, recovery_id, deadline.within(ADVANCE_SECONDS))


def _require_open(recovery: Recovery) -> None:
    if recovery.state in FINAL_STATES:
        raise RecoveryStateError(f"recovery {recovery.recovery_id} is {recovery.state}")
