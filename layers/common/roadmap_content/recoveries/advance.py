"""One turn of a recovery: check the running tasks, then start as many as the limits allow.

A turn may be repeated, crash at any point, or run at the same time as another turn. The audit trail has all
claims, so a task that was claimed before a crash is continued and not refused. An execution that the recovery
has replaced by another one does nothing.
"""

from datetime import UTC, datetime

from sqlalchemy import Connection

from ..aws.executions import ExecutionState
from ..contracts import Count, Execution, Payload
from ..errors import ClaimRefusedError, ContentError, TransientError
from ..postgres.transactions import RESERVE, transact
from ..retries.retry import retry_task
from ..runtime.deadline import Deadline
from ..runtime.log import logger
from ..runtime.metrics import Metric, emit
from ..services import Services
from ..tasks.attempts import AttemptStart, Cause, actor_of, recovery_actor
from ..tasks.task import read_task
from .decisions import (
    MAX_TURNS,
    STARTING_STATES,
    TURN_SECONDS,
    RecoveryState,
    Settlement,
    TaskResult,
    interval,
    is_over,
    may_start,
    next_state,
    settle,
)
from .ended import record_end
from .parts import part_arn, start_part
from .recovery import (
    Recovery,
    WaitingTask,
    count_tasks,
    read_recovery,
    record_claim,
    record_settlements,
    record_start,
    refuse_waiting,
    running_tasks,
    waiting_tasks,
    write_recovery,
)

START_SECONDS = 3.0
"""The time limit for starting one task, in seconds."""

_STOP_REASONS = {
    RecoveryState.STOPPED_BY_CANARY: "RecoveryStoppedByCanary",
    RecoveryState.STOPPED_BY_BUDGET: "RecoveryStoppedByBudget",
    RecoveryState.CANCELLED: "RecoveryCancelled",
}


class AdvanceRequest(Payload):
    """The request to `recover_tasks` for one turn of a recovery."""

    recovery_id: str
    turn: Count
    execution: Execution


class AdvanceResult(Payload):
    """The next step of the execution: end, or wait and run another turn."""

    recovery_id: str
    turn: Count
    done: bool
    wait_seconds: Count


def advance(request: AdvanceRequest, services: Services, deadline: Deadline) -> AdvanceResult:
    """Run one turn.

    Raises:
        DatabaseUnavailableError, ExecutionsUnavailableError: the turn can be repeated.
    """
    plan = transact(services.engine, lambda connection: _observe(connection, request, services), deadline)
    if plan is None:
        return _result(request, done=True)
    recovery, state, allowed, start_at, ended = plan
    if not ended and request.turn >= MAX_TURNS:
        _continue_elsewhere(services, request, deadline)
        return _result(request, done=True)
    if allowed:
        _start_tasks(services, recovery, state, allowed, start_at, deadline)
    return _result(request, done=ended)


def _result(request: AdvanceRequest, *, done: bool) -> AdvanceResult:
    return AdvanceResult(
        recovery_id=request.recovery_id, turn=request.turn + 1, done=done, wait_seconds=TURN_SECONDS
    )


def _observe(
    connection: Connection, request: AdvanceRequest, services: Services
) -> tuple[Recovery, RecoveryState, int, datetime, bool] | None:
    """Record ended tasks and decide the next step; `None` if this execution has nothing to do."""
    recovery = read_recovery(connection, request.recovery_id, lock=True)
    if recovery is None or recovery.ended_at is not None:
        return None
    if recovery.execution_arn != request.execution.arn:
        logger.info("recovery_continues_elsewhere", recovery_id=recovery.recovery_id, part=recovery.part)
        if request.execution.arn == part_arn(services, recovery.recovery_id, recovery.part - 1):
            start_part(services, recovery.recovery_id, recovery.part)  # the start may have failed
        return None
    # An attempt that was claimed and never started is started by a later turn, unless there is none.
    unconfirmed = RecoveryState(recovery.state) not in STARTING_STATES
    running = running_tasks(connection, recovery.recovery_id, unconfirmed=unconfirmed)
    settled = [settle(task) for task in running]
    ended = [settlement for settlement in settled if settlement is not None]
    record_settlements(connection, recovery.recovery_id, ended)
    counts = count_tasks(connection, recovery.recovery_id)
    state, stop_reason = next_state(RecoveryState(recovery.state), recovery.limits, counts.progress)
    if state in _STOP_REASONS and counts.progress.waiting:
        refuse_waiting(connection, recovery.recovery_id, _STOP_REASONS[state])
    now = datetime.now(UTC).replace(tzinfo=None)
    allowed, start_at = may_start(state, recovery.limits, counts.progress, recovery.next_start_at, now)
    over = is_over(state, counts.progress)
    write_recovery(
        connection,
        recovery,
        state=state,
        stop_reason=stop_reason or recovery.stop_reason,
        next_start_at=start_at,
        ended=over,
    )
    if over:
        record_end(services, connection, recovery.recovery_id, state)
    _count(ended)
    if state != recovery.state:
        logger.info(
            "recovery_state_changed", recovery_id=recovery.recovery_id, state=state, reason=stop_reason
        )
        if state in (RecoveryState.STOPPED_BY_CANARY, RecoveryState.STOPPED_BY_BUDGET):
            emit({Metric.RECOVERIES_STOPPED: 1})
    # A paused recovery has no execution. Resuming it starts a new one.
    idle = state is RecoveryState.PAUSED and not counts.progress.running
    return recovery, state, allowed, start_at, over or idle


def _count(ended: list[Settlement]) -> None:
    if ended:
        emit(
            {
                Metric.RECOVERY_TASKS_RECOVERED: sum(
                    settlement.result is TaskResult.RECOVERED for settlement in ended
                ),
                Metric.RECOVERY_TASKS_STILL_FAILING: sum(
                    settlement.result is TaskResult.STILL_FAILING for settlement in ended
                ),
            }
        )


def _start_tasks(
    services: Services,
    recovery: Recovery,
    state: RecoveryState,
    allowed: int,
    start_at: datetime,
    deadline: Deadline,
) -> None:
    """Start tasks. Each start is recorded immediately, so that a crash leaves at most one start
    unrecorded.
    """
    recovery_id = recovery.recovery_id
    canary_only = state is RecoveryState.CANARY
    tasks = transact(
        services.engine,
        lambda connection: waiting_tasks(connection, recovery_id, allowed, canary_only=canary_only),
        deadline,
    )
    for number, task in enumerate(tasks, start=1):
        if deadline.remaining < START_SECONDS + RESERVE:
            break
        try:
            result, attempt, reason = _start_task(services, recovery_id, task, deadline)
        except TransientError as error:
            logger.warning(
                "recovery_task_not_started",
                recovery_id=recovery_id,
                task_id=task.task_id,
                error_code=error.code,
                reason=str(error),
            )
            break
        next_start_at = start_at + number * interval(recovery.limits)

        def record(
            connection: Connection,
            task: WaitingTask = task,
            result: TaskResult = result,
            attempt: int | None = attempt,
            reason: str | None = reason,
            next_start_at: datetime = next_start_at,
        ) -> None:
            locked = read_recovery(connection, recovery_id, lock=True)
            record_start(connection, recovery_id, task, result, attempt, reason)
            if locked is not None:
                write_recovery(
                    connection,
                    locked,
                    state=locked.state,
                    stop_reason=locked.stop_reason,
                    next_start_at=next_start_at,
                    ended=locked.ended_at is not None,
                )

        transact(services.engine, record, deadline)
        emit({Metric.RECOVERY_TASKS_STARTED: 1})


def _start_task(
    services: Services, recovery_id: str, task: WaitingTask, deadline: Deadline
) -> tuple[TaskResult, int | None, str | None]:
    """`(result, attempt, reason)` of starting one task.

    Raises:
        TransientError: the result is unknown; the next turn starts the task.
    """
    actor = recovery_actor(recovery_id)
    if task.claimed_attempt is not None and not _ended_before_its_start(services, task):
        if task.execution_arn is not None and task.is_latest and not task.has_ended:
            services.executions.start(task.execution_arn, task.task_id, task.claimed_attempt)
        return TaskResult.RUNNING, task.claimed_attempt, None
    try:
        answer = retry_task(
            services,
            task.task_id,
            None,
            deadline,
            AttemptStart(
                actor,
                Cause.RECOVERY,
                recovery_id,
                on_claim=lambda connection, attempt: record_claim(connection, recovery_id, task, attempt),
            ),
        )
    except ClaimRefusedError as refusal:
        if _claimed_by(services, task.task_id, refusal.attempt, actor, deadline):
            return TaskResult.RUNNING, refusal.attempt, None
        return TaskResult.REFUSED, None, refusal.code
    except TransientError:
        raise
    except ContentError as error:
        return TaskResult.REFUSED, None, f"{error.code}: {error}"[:500]
    if answer.status == "processing":
        return TaskResult.RUNNING, answer.attempt, None
    return TaskResult.RECOVERED, None, "NothingMissing"


def _ended_before_its_start(services: Services, task: WaitingTask) -> bool:
    """Whether a sweep has ended an attempt that was claimed before a crash. The task then needs another
    one.
    """
    return (
        task.is_latest
        and task.has_ended
        and task.execution_arn is not None
        and services.executions.state(task.execution_arn) is ExecutionState.UNKNOWN
    )


def _claimed_by(services: Services, task_id: str, attempt: int, actor: str, deadline: Deadline) -> bool:
    def read(connection: Connection) -> bool:
        return read_task(connection, task_id).attempt == attempt and (
            actor_of(connection, task_id, attempt) == actor
        )

    return transact(services.engine, read, deadline)


def _continue_elsewhere(services: Services, request: AdvanceRequest, deadline: Deadline) -> None:
    """Continue in a new execution before the history of this one is full."""

    def move(connection: Connection) -> int | None:
        recovery = read_recovery(connection, request.recovery_id, lock=True)
        if recovery is None or recovery.execution_arn != request.execution.arn:
            return None
        part = recovery.part + 1
        write_recovery(
            connection,
            recovery,
            state=recovery.state,
            stop_reason=recovery.stop_reason,
            next_start_at=recovery.next_start_at,
            ended=False,
            part=part,
            execution_arn=part_arn(services, recovery.recovery_id, part),
        )
        return part

    part = transact(services.engine, move, deadline)
    if part is not None:
        start_part(services, request.recovery_id, part)
