"""Count superseded attempts: those that had no recorded outcome when the next attempt was claimed. The claim
has ended them; their numbers of saved and failed items are computed from the tables now.
"""

from sqlalchemy import Connection

from ...content.roadmaps.metadata import load_framework
from ...content.rows import current_rows, unreplaced
from ...contracts.errors import ContentError, InvalidFrameworkError, RoadmapNotFoundError
from ...contracts.items import Item, count_by_type
from ...platform.postgres.transactions import transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...state.failures.failures import failures_of_attempt
from ...state.services import Services
from ...state.tasks.attempts import read_scope, record_attempt_outcome, uncounted_attempts
from ...state.tasks.task import read_task

MOST_COUNTED = 100
"""Attempts per sweep."""


def count_superseded(services: Services, deadline: Deadline) -> None:
    """Count some superseded attempts. An error of one does not stop the next."""
    for task_id, attempt, outcome in transact(services.engine, uncounted_attempts, deadline, MOST_COUNTED):
        try:
            transact(services.engine, _count, deadline, task_id, attempt, outcome)
        except ContentError as error:
            logger.warning("attempt_not_counted", task_id=task_id, attempt=attempt, **error.why)


def _count(connection: Connection, task_id: str, attempt: int, outcome: str) -> None:
    """Count one attempt. Each missing item has failed; in a cancelled attempt only those with a recorded
    failure: the others were not started. Without a readable framework, its numbers are unknown.
    """
    missing = _missing(connection, task_id, attempt)
    if missing is None:
        record_attempt_outcome(connection, task_id, attempt, None, {}, outcome)
        return
    failed = missing
    if outcome == "cancelled":
        recorded = failures_of_attempt(connection, task_id, attempt)
        failed = [item for item in missing if item in recorded]
    counts = count_by_type(missing), count_by_type(failed)
    record_attempt_outcome(connection, task_id, attempt, *counts, outcome)


def _missing(connection: Connection, task_id: str, attempt: int) -> list[Item] | None:
    """The items of an attempt that are currently not saved or not replaced; `None` without a readable
    framework.
    """
    task = read_task(connection, task_id)
    scope, replaces, _ = read_scope(connection, task_id, attempt)
    try:
        framework = load_framework(connection, task.roadmap_id, task.user_id)
    except (RoadmapNotFoundError, InvalidFrameworkError):
        return None
    rows = current_rows(connection, task.roadmap_id or "")
    return [*filter(scope.includes, framework.missing(rows)), *unreplaced(rows, replaces)]
