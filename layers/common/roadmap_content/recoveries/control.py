"""Pause, resume and cancel a recovery, and continue one that has no running execution."""

from sqlalchemy import Connection

from ..aws.executions import ExecutionState
from ..errors import ContentError
from ..postgres.transactions import transact
from ..runtime.deadline import Deadline
from ..runtime.log import logger
from ..runtime.metrics import Metric, emit
from ..services import Services
from .decisions import FINAL_STATES, RecoveryState
from .ended import record_end
from .errors import RecoveryNotFoundError, RecoveryStateError
from .parts import part_arn, start_part
from .recovery import (
    Recovery,
    count_tasks,
    read_recovery,
    refuse_waiting,
    start_state,
    unfinished_recoveries,
    write_recovery,
)

MOST_LOOKED_AT = 50


def require_recovery(connection: Connection, recovery_id: str, *, lock: bool = False) -> Recovery:
    """Read a recovery.

    Raises:
        RecoveryNotFoundError: there is none.
    """
    recovery = read_recovery(connection, recovery_id, lock=lock)
    if recovery is None:
        raise RecoveryNotFoundError(f"there is no recovery {recovery_id!r}")
    return recovery


def pause(services: Services, recovery_id: str, deadline: Deadline) -> None:
    """Pause a recovery: start no further task. Running tasks are still recorded. Idempotent.

    Raises:
        RecoveryNotFoundError, RecoveryStateError: there is none, or it has ended.
    """

    def change(connection: Connection) -> None:
        recovery = _require_open(connection, recovery_id)
        _write(connection, recovery, RecoveryState.PAUSED)

    transact(services.engine, change, deadline)
    logger.info("recovery_paused", recovery_id=recovery_id)


def resume(services: Services, recovery_id: str, deadline: Deadline) -> None:
    """Resume a paused recovery, in a new execution. If it is not paused, nothing happens.

    Raises:
        RecoveryNotFoundError, RecoveryStateError: there is none, or it has ended.
        ExecutionsUnavailableError: the sweep starts the execution.
    """

    def change(connection: Connection) -> int | None:
        recovery = _require_open(connection, recovery_id)
        if recovery.state != RecoveryState.PAUSED:
            return None
        return _next_part(connection, services, recovery, start_state(recovery))

    part = transact(services.engine, change, deadline)
    if part is not None:
        start_part(services, recovery_id, part)
        logger.info("recovery_resumed", recovery_id=recovery_id, part=part)


def cancel(services: Services, recovery_id: str, deadline: Deadline) -> None:
    """Cancel a recovery: start no further task, permanently. Running tasks are still recorded.

    Raises:
        RecoveryNotFoundError, RecoveryStateError: there is none, or it has ended otherwise.
    """

    def change(connection: Connection) -> int | None:
        recovery = require_recovery(connection, recovery_id, lock=True)
        if recovery.state == RecoveryState.CANCELLED:
            return None
        recovery = _require_open(connection, recovery_id)
        refuse_waiting(connection, recovery_id, "RecoveryCancelled")
        running = count_tasks(connection, recovery_id).progress.running
        _write(connection, recovery, RecoveryState.CANCELLED, ended=not running)
        if not running:
            record_end(services, connection, recovery_id, RecoveryState.CANCELLED)
        if running and recovery.state == RecoveryState.PAUSED:
            # Its execution may have ended already: a new one observes the running tasks.
            locked = require_recovery(connection, recovery_id, lock=True)
            return _next_part(connection, services, locked, RecoveryState.CANCELLED)
        return None

    part = transact(services.engine, change, deadline)
    if part is not None:
        start_part(services, recovery_id, part)
    logger.info("recovery_cancelled", recovery_id=recovery_id)


def take_up_lost(services: Services, deadline: Deadline) -> list[str]:
    """Start a new execution for each unfinished recovery that has none; return these recoveries.

    A recovery that cannot be continued does not affect the others.
    """
    lost = []
    unfinished = transact(
        services.engine, lambda connection: unfinished_recoveries(connection, MOST_LOOKED_AT), deadline
    )
    for recovery in unfinished:
        try:
            if _take_up(services, recovery, deadline):
                lost.append(recovery.recovery_id)
        except ContentError as error:
            logger.error(
                "recovery_not_taken_up",
                recovery_id=recovery.recovery_id,
                error_code=error.code,
                reason=str(error),
            )
    return lost


def _take_up(services: Services, recovery: Recovery, deadline: Deadline) -> bool:
    state = services.recovery_executions.state(recovery.execution_arn)
    if state is ExecutionState.RUNNING:
        return False
    if state is ExecutionState.UNKNOWN:
        start_part(services, recovery.recovery_id, recovery.part)  # the execution was never started
        return True

    def change(connection: Connection) -> int | None:
        locked = read_recovery(connection, recovery.recovery_id, lock=True)
        if locked is None or locked.ended_at or locked.execution_arn != recovery.execution_arn:
            return None
        if (
            locked.state == RecoveryState.PAUSED
            and not count_tasks(connection, locked.recovery_id).progress.running
        ):
            return None
        return _next_part(connection, services, locked, RecoveryState(locked.state))

    part = transact(services.engine, change, deadline)
    if part is None:
        return False
    start_part(services, recovery.recovery_id, part)
    logger.warning("recovery_taken_up", recovery_id=recovery.recovery_id, part=part)
    emit({Metric.RECOVERIES_TAKEN_UP: 1})
    return True


def _require_open(connection: Connection, recovery_id: str) -> Recovery:
    recovery = require_recovery(connection, recovery_id, lock=True)
    if recovery.ended_at is not None or recovery.state in FINAL_STATES:
        raise RecoveryStateError(f"recovery {recovery_id} is {recovery.state}")
    return recovery


def _next_part(connection: Connection, services: Services, recovery: Recovery, state: RecoveryState) -> int:
    part = recovery.part + 1
    write_recovery(
        connection,
        recovery,
        state=state,
        stop_reason=recovery.stop_reason,
        next_start_at=None,
        ended=False,
        part=part,
        execution_arn=part_arn(services, recovery.recovery_id, part),
    )
    return part


def _write(connection: Connection, recovery: Recovery, state: RecoveryState, *, ended: bool = False) -> None:
    write_recovery(
        connection,
        recovery,
        state=state,
        stop_reason=recovery.stop_reason,
        next_start_at=recovery.next_start_at,
        ended=ended,
    )
