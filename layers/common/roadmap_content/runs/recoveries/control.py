"""Pause, resume and cancel a recovery."""

from sqlalchemy import Connection

from ...contracts.errors import RecoveryNotFoundError, RecoveryStateError
from ...contracts.states import RecoveryState
from ...platform.postgres.transactions import transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...state.queue.admission import admit_waiting
from ...state.queue.queue import hold_attempts, return_attempts
from ...state.services import Services
from ...state.tasks.attempts import recovery_actor
from .advance import CANCELLED, advance_if_possible, record_end
from .decisions import FINAL_STATES, PAUSED_STATES
from .recovery import Recovery, read_recovery, resume_recovery, write_recovery
from .recovery_tasks import read_progress, refuse_waiting

ADVANCE_SECONDS = 8.0
"""The time that a request may take to start the first tasks of a recovery. The sweep starts the others."""


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
    """Pause a recovery: start no further task. Its waiting attempts leave the order of the queue until it is
    resumed. Running tasks are still recorded. Idempotent.

    Raises:
        RecoveryNotFoundError, RecoveryStateError: there is none, or it has ended.
    """

    def change(connection: Connection) -> None:
        recovery = require_recovery(connection, recovery_id, lock=True)
        _require_open(recovery)
        if recovery.state not in PAUSED_STATES:
            write_recovery(connection, recovery, state=RecoveryState.PAUSED)
            hold_attempts(connection, recovery_actor(recovery_id))

    transact(services.engine, change, deadline)
    logger.info("recovery_paused", recovery_id=recovery_id)


def resume(services: Services, recovery_id: str, deadline: Deadline) -> None:
    """Resume a recovery that was paused, by a person or by its breaker. If it is not paused, nothing happens.

    Raises:
        RecoveryNotFoundError, RecoveryStateError: there is none, or it has ended.
    """

    def change(connection: Connection) -> bool:
        recovery = require_recovery(connection, recovery_id, lock=True)
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
    """Cancel a recovery: start no further task, permanently. Running tasks are still recorded; attempts that
    wait for a slot end, and their tasks return to their former states. The sweep records the rest, if the
    time is up.

    Raises:
        RecoveryNotFoundError, RecoveryStateError: there is none, or it has ended otherwise.
    """

    def change(connection: Connection) -> None:
        recovery = require_recovery(connection, recovery_id, lock=True)
        if recovery.state == RecoveryState.CANCELLED:
            return
        _require_open(recovery)
        refuse_waiting(connection, recovery_id, CANCELLED)
        hold_attempts(connection, recovery_actor(recovery_id))
        running = read_progress(connection, recovery_id).running
        write_recovery(connection, recovery, state=RecoveryState.CANCELLED, ended=not running)
        if not running:
            record_end(services, connection, recovery_id, RecoveryState.CANCELLED)

    transact(services.engine, change, deadline)
    logger.info("recovery_cancelled", recovery_id=recovery_id)
    advance_if_possible(services, recovery_id, deadline.within(ADVANCE_SECONDS))


def _require_open(recovery: Recovery) -> None:
    if recovery.ended_at is not None or recovery.state in FINAL_STATES:
        raise RecoveryStateError(f"recovery {recovery.recovery_id} is {recovery.state}")
