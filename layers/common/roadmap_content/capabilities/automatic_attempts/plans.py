"""The decision whether, and when, the sweep retries a task without a request."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import takewhile

from sqlalchemy import Connection, text

from ...contracts.states import Cause
from ...state.failures.groups import Remains, TaskFailures
from ...state.services import Following, Services

# Finds the latest attempts of a task, with the items that each one saved.
LATEST = text("""
SELECT cause, saved FROM content_attempts WHERE task_id = :task_id ORDER BY attempt DESC LIMIT :limit
""")

FIRST_PAUSE = timedelta(minutes=5)
"""The pause before the first automatic attempt. Each further pause is twice as long."""

LONGEST_PAUSE = timedelta(hours=6)

SAME_REASON_LIMIT = 2
"""The number of consecutive automatic attempts that may fail for the same reasons and save nothing."""


def pause_before(
    causes: Sequence[str], saved: Sequence[int], groups: Sequence[TaskFailures], same: bool, limit: int
) -> timedelta | None:
    """The pause before the next automatic attempt; `None` if there is to be none. Pure.

    Args:
        causes: the causes of the task's attempts, latest first.
        saved: the number of items that each of them saved.
        groups: the failure groups of the missing items.
        same: whether the previous attempt failed for the same reasons.
        limit: the maximum number of consecutive automatic attempts.
    """
    automatic = list(takewhile(lambda cause: cause == Cause.AUTOMATIC, causes))
    made = len(automatic)
    if not groups or made >= limit or not all(group.transient for group in groups):
        return None
    if same and made >= SAME_REASON_LIMIT and not any(saved[:SAME_REASON_LIMIT]):
        return None
    pause = FIRST_PAUSE
    for _ in range(made):  # not 2**made: with a high limit, that is longer than a timedelta can be
        pause = min(2 * pause, LONGEST_PAUSE)
    return pause


def plan_automatic_attempt(services: Services, connection: Connection, remains: Remains) -> Following:
    """Whether an automatic attempt follows one that has just ended, and after which pause."""
    limit, groups = services.settings.automatic_attempts, remains.groups
    if not limit or not groups:
        return Following()
    attempts = connection.execute(LATEST, {"task_id": remains.task_id, "limit": limit}).all()
    causes = [attempt.cause for attempt in attempts]
    saved = [sum((attempt.saved or {}).values()) for attempt in attempts]
    same = remains.groups_before == {group.key.group_id for group in groups}
    return Following(pause_before(causes, saved, groups, same, limit))
