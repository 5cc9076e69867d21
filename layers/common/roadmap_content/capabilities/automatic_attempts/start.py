"""Start the automatic attempts that are due."""

from functools import partial

from sqlalchemy import Connection, text

from ...contracts.errors import ClaimRefusedError, ContentError
from ...contracts.states import Cause
from ...platform.postgres.transactions import RESERVE, is_of_this_task, transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.metrics import Metric, emit
from ...runs.reconciliation.content_loss import why_held
from ...runs.retries.retry import retry_task
from ...state.services import Services
from ...state.tasks.attempts import (
    AUTOMATIC,
    AttemptStart,
    PlannedAttempt,
    forget_all_next_attempts,
    forget_next_attempt,
    postpone_attempt,
)
from .plans import FIRST_PAUSE

# Finds the planned attempts that are due, the longest overdue first; each with the attempt that it follows.
DUE = text("""
SELECT task_id, attempt FROM content_attempts WHERE next_at <= now()
ORDER BY next_at LIMIT :limit
""")

MOST_STARTED = 50
"""Maximum tasks per sweep. The next sweep continues."""

TASK_SECONDS = 5.0
"""The time that one start may take."""


def start_unless_held(services: Services, deadline: Deadline) -> None:
    """Start due automatic attempts, unless content is lost: they would generate it again. A job of the sweep.
    Raises DatabaseUnavailableError: it is unknown whether an attempt was started.
    """
    if held := why_held(services, deadline):
        logger.warning("automatic_attempts_held", **held.why)
    elif not services.settings.automatic_attempts:  # turned off after they were planned
        transact(services.engine, forget_all_next_attempts, deadline)
    else:
        _start_due_attempts(services, deadline)


def _start_due_attempts(services: Services, deadline: Deadline) -> None:
    """Start the automatic attempts that are due. A refused task does not affect the others."""
    due = transact(services.engine, due_attempts, deadline, MOST_STARTED)
    started = refused = 0
    for planned in due:
        if deadline.remaining < TASK_SECONDS + RESERVE:
            break
        start = AttemptStart(AUTOMATIC, Cause.AUTOMATIC, on_claim=partial(_require_next, planned))
        try:
            answer = retry_task(services, planned.task_id, None, deadline, start)
            started += answer.status == "processing"  # not if nothing is missing any more
        except ContentError as error:
            logger.warning("automatic_attempt_refused", task_id=planned.task_id, **error.why)
            if is_of_this_task(error):
                refused += 1
                transact(services.engine, forget_next_attempt, deadline, *planned)
            else:
                transact(services.engine, postpone_attempt, deadline, planned, FIRST_PAUSE)
    if due:
        emit({Metric.AUTOMATIC_ATTEMPTS_STARTED: started, Metric.AUTOMATIC_ATTEMPTS_REFUSED: refused})
        logger.info("automatic_attempts_started", due=len(due), started=started, refused=refused)


def _require_next(planned: PlannedAttempt, _connection: Connection, attempt: int) -> None:
    """Check that no other attempt was made since the plan: after another one, a new plan applies."""
    if attempt != planned.attempt + 1:
        raise ClaimRefusedError(planned.task_id, attempt - 1, None)


def due_attempts(connection: Connection, limit: int) -> list[PlannedAttempt]:
    """The planned attempts that are due, `limit` at most, the longest overdue first."""
    return [PlannedAttempt(*row) for row in connection.execute(DUE, {"limit": limit})]
