"""Admission, and the start of executions. No other module starts or redrives an execution for an attempt.

The decision is recorded in a transaction, and the execution is started after its COMMIT. Its name follows
from the claim, so the start can be repeated: the sweep does so for attempts that were admitted and not
started. A redrive can be repeated, too: an execution that runs is not redriven again.
"""

from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Any

from sqlalchemy import Connection

from ...contracts.errors import ContentError, NotRedrivableError
from ...contracts.states import QueueState
from ...platform.aws.executions import ExecutionState
from ...platform.postgres.transactions import TIME_FOR_ANOTHER, transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ..outbox import record_events
from ..services import Services
from .capacity import lock_capacity
from .claims import STARTING
from .queue import MOST_ADMITTED, Admitted, admit, admit_free, confirm_redrive, tidy_queue, unconfirmed

MOST_UNCONFIRMED = 100
"""Maximum attempts per sweep that are started again."""


def start_admitted(
    services: Services, admitted: Iterable[Admitted], deadline: Deadline
) -> dict[tuple[str, int], NotRedrivableError]:
    """Start or redrive the executions of admitted attempts; return the refused redrives, by task and attempt.
    The sweep starts those that Step Functions does not accept now, or for which no time is left, and ends the
    refused ones.
    """
    refused = {}
    for attempt in admitted:
        subject: dict[str, Any] = {"task_id": attempt.task_id, "attempt": attempt.attempt}
        if deadline.remaining <= 0:
            logger.warning("attempt_not_started", **subject, reason="no time is left")
            continue
        try:
            if attempt.state == QueueState.REDRIVING:
                _redrive(services, attempt, deadline)
            else:
                services.executions.start(attempt.execution_arn, attempt.task_id, attempt.attempt)
        except ContentError as error:
            if isinstance(error, NotRedrivableError):
                refused[attempt.task_id, attempt.attempt] = error
            logger.warning("attempt_not_started", **subject, reason=str(error))
        else:
            logger.info("attempt_started", **subject)
    return refused


def admit_waiting(services: Services, deadline: Deadline) -> None:
    """Admit waiting attempts while there is capacity, and start them, some in each transaction, while time is
    left. The next sweep continues.
    """

    def admit_some(connection: Connection) -> list[Admitted]:
        lock_capacity(connection)
        admitted = admit(connection, MOST_ADMITTED)
        record_events(services, connection, [attempt.event for attempt in admitted])
        return admitted

    while deadline.remaining > TIME_FOR_ANOTHER:
        admitted = transact(services.engine, admit_some, deadline)
        start_admitted(services, admitted, deadline)
        if len(admitted) < MOST_ADMITTED:
            break


def admit_without_slot(
    services: Services, task_id: str, attempt: int, deadline: Deadline
) -> Sequence[Admitted]:
    """Admit a waiting attempt that generates nothing; empty if it does not wait any more."""

    def admit_this(connection: Connection) -> list[Admitted]:
        admitted = admit_free(connection, task_id, attempt)
        record_events(services, connection, [one.event for one in admitted])
        return admitted

    return transact(services.engine, admit_this, deadline)


def start_unconfirmed(services: Services, deadline: Deadline) -> Iterable[tuple[str, int]]:
    """Start again the attempts that were admitted and are not known to have started; return those that cannot
    be redriven, as task and attempt.
    """
    transact(services.engine, tidy_queue, deadline)  # nothing is started for a deleted task
    unstarted = transact(services.engine, unconfirmed, deadline, STARTING, MOST_UNCONFIRMED)
    in_time = takewhile(lambda _: deadline.remaining > TIME_FOR_ANOTHER, unstarted)
    return start_admitted(services, in_time, deadline)


def _redrive(services: Services, attempt: Admitted, deadline: Deadline) -> None:
    """Redrive the execution of an attempt that was claimed for it, and record it. May be repeated.
    Raises NotRedrivableError: Step Functions refuses it, and the execution does not run.
    """
    try:
        services.executions.redrive(attempt.execution_arn)
    except NotRedrivableError:
        # An earlier try may have redriven it, or AWS's console.
        if services.executions.state(attempt.execution_arn) is not ExecutionState.RUNNING:
            raise
    transact(services.engine, confirm_redrive, deadline, attempt.task_id, attempt.attempt)
