"""Automatic attempts: the times at which the sweep retries tasks. The table `content_automatic_attempts`."""

from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import Connection, text

from ...contracts.states import Cause
from ...state.failures.groups import Remains, TaskFailures
from ...state.services import Services
from ...state.tasks.attempt_reading import latest_attempts

FIRST_PAUSE = timedelta(minutes=5)
"""The pause before the first automatic attempt. Each further pause is twice as long."""

LONGEST_PAUSE = timedelta(hours=6)

LOOKED_AT = 1_000
"""Due plans of one sweep, most of which may be over."""

SAME_REASON_LIMIT = 2
"""The number of consecutive automatic attempts that may fail for the same reasons and save nothing."""

# Guarantees: at most one planned attempt per task, after its latest attempt.
PLAN = text("""
INSERT INTO content_automatic_attempts AS known (task_id, attempt, due_at)
SELECT task_id, attempt, timezone('utc', now()) + make_interval(secs => :pause)
FROM roadmap_tasks WHERE task_id = :task_id AND attempt = :attempt
ON CONFLICT (task_id) DO UPDATE SET attempt = excluded.attempt, due_at = excluded.due_at
WHERE known.attempt < excluded.attempt
""")

# A plan is over when a later attempt was claimed, whoever asked for it. The claim leaves it here.
DUE = text("""
WITH due AS (
    SELECT task_id, attempt, due_at, EXISTS (SELECT FROM roadmap_tasks t
        WHERE t.task_id = a.task_id AND t.attempt > a.attempt) AS is_over
    FROM content_automatic_attempts a WHERE due_at <= timezone('utc', now()) ORDER BY due_at LIMIT :looked_at
), forgotten AS (
    DELETE FROM content_automatic_attempts a USING due d
    WHERE (a.task_id, a.attempt) = (d.task_id, d.attempt) AND d.is_over
)
SELECT task_id, attempt FROM due WHERE NOT is_over ORDER BY due_at LIMIT :limit
""")

# Not a plan that a later attempt has written meanwhile.
FORGET = text("DELETE FROM content_automatic_attempts WHERE task_id = :task_id AND attempt = :attempt")

POSTPONE = text("""
UPDATE content_automatic_attempts SET due_at = timezone('utc', now()) + make_interval(secs => :pause)
WHERE task_id = :task_id AND attempt = :attempt
""")


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
    made = next((number for number, cause in enumerate(causes) if cause != Cause.AUTOMATIC), len(causes))
    if not groups or made >= limit or not all(group.transient for group in groups):
        return None
    if same and made >= SAME_REASON_LIMIT and not any(saved[:SAME_REASON_LIMIT]):
        return None
    doubled: timedelta = FIRST_PAUSE * 2**made
    return min(doubled, LONGEST_PAUSE)


def plan_automatic_attempt(services: Services, connection: Connection, remains: Remains) -> bool:
    """Plan an automatic attempt after one that has just ended, if the conditions for it are met. Returns
    whether there will be one.
    """
    task_id, attempt, groups, groups_before = remains
    limit = services.settings.automatic_attempts
    if not limit or not groups:
        return False
    attempts = latest_attempts(connection, task_id, limit + 1)
    same = groups_before == {group.key.group_id for group in groups}
    saved = [sum((one.saved or {}).values()) for one in attempts]
    pause = pause_before([one.cause for one in attempts], saved, groups, same, limit)
    if pause is not None:
        connection.execute(PLAN, {"task_id": task_id, "attempt": attempt, "pause": pause.total_seconds()})
    return pause is not None


class PlannedAttempt(NamedTuple):
    task_id: str
    attempt: int
    """The attempt after which it was planned."""


def due_attempts(connection: Connection, limit: int) -> list[PlannedAttempt]:
    """The due automatic attempts, the longest overdue first. Plans that are over are forgotten."""
    parameters = {"limit": limit, "looked_at": LOOKED_AT}
    return [PlannedAttempt(*row) for row in connection.execute(DUE, parameters)]


def forget_automatic_attempt(connection: Connection, planned: PlannedAttempt) -> None:
    connection.execute(FORGET, planned._asdict())


def postpone_automatic_attempt(connection: Connection, planned: PlannedAttempt) -> None:
    """Postpone a planned attempt because a required service did not respond."""
    connection.execute(POSTPONE, {**planned._asdict(), "pause": FIRST_PAUSE.total_seconds()})
