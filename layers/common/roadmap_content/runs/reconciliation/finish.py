"""Finish a run: record its outcome, then give its slots to waiting attempts."""

from sqlalchemy import Connection

from ...contracts.errors import ContentError
from ...contracts.payloads import FinalizeResult
from ...platform.postgres.transactions import transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...state.queue.admission import admit_waiting
from ...state.services import Services
from ...state.tasks.attempt_reading import actor_of
from ...state.tasks.task import read_task
from ..steps.finalize import FinalizeRequest, finalize_task

CONTINUE_SECONDS = 20.0
"""The time after a run's end for starting other work. The sweep continues."""


def finish_run(request: FinalizeRequest, services: Services, deadline: Deadline) -> FinalizeResult:
    """The step Finalize: record the outcome of a run, and start waiting work.
    Raises DatabaseUnavailableError: nothing was written; a retry may succeed.
    """
    result = finalize_task(request, services, deadline)
    start_next(services, result.task_id, deadline.within(CONTINUE_SECONDS))
    return result


def start_next(services: Services, task_id: str, deadline: Deadline) -> None:
    """After a run's end, let capabilities continue, and admit waiting attempts. An error is logged: the
    outcome is recorded, and the sweep does the same.
    """

    def read(connection: Connection) -> str | None:
        return actor_of(connection, task_id, read_task(connection, task_id).attempt)

    try:
        actor = transact(services.engine, read, deadline)
        for capability in services.capabilities:
            if capability.after_run is not None and actor is not None:
                capability.after_run(services, actor, deadline)
        admit_waiting(services, deadline)
    except ContentError as error:
        logger.warning("next_not_started", task_id=task_id, **error.why)
