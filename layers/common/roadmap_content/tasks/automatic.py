"""Automatic attempts: when the sweep tries a task again by itself. The table `content_automatic_attempts`."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, text

from .attempts import Cause, latest_attempts
from .failure_groups import TaskFailures

FIRST_PAUSE = timedelta(minutes=5)
"""Before the first automatic attempt; each further pause is twice as long."""

LONGEST_PAUSE = timedelta(hours=6)

SAME_REASON_LIMIT = 2
"""So many automatic attempts in a row may fail for the same reasons and save nothing."""

# Promises: one planned attempt for a task, of its latest attempt.
PLAN = text("""
INSERT INTO content_automatic_attempts AS known (task_id, attempt, due_at)
SELECT task_id, attempt, timezone('utc', now()) + make_interval(secs => :pause)
FROM roadmap_tasks WHERE task_id = :task_id AND attempt = :attempt AND status <> 'cancelled'
ON CONFLICT (task_id) DO UPDATE SET attempt = excluded.attempt, due_at = excluded.due_at
WHERE known.attempt < excluded.attempt
""")

DUE = text("""
SELECT task_id FROM content_automatic_attempts
WHERE due_at <= timezone('utc', now()) ORDER BY due_at LIMIT :limit
""")

FORGET = text("DELETE FROM content_automatic_attempts WHERE task_id = :task_id")

POSTPONE = text("""
UPDATE content_automatic_attempts SET due_at = timezone('utc', now()) + make_interval(secs => :pause)
WHERE task_id = :task_id
""")


def pause_before(
    causes: Sequence[str], saved: Sequence[int], groups: Sequence[TaskFailures], same: bool, limit: int
) -> timedelta | None:
    """The pause before the next automatic attempt; `None` where there is none. Pure.

    Args:
        causes: how the task's attempts were started, the latest first.
        saved: the items that each of them saved.
        groups: why items are missing now.
        same: the attempt before failed for the same reasons.
        limit: automatic attempts in a row.
    """
    made = next((number for number, cause in enumerate(causes) if cause != Cause.AUTOMATIC), len(causes))
    if not groups or made >= limit or not all(group.transient for group in groups):
        return None
    if same and made >= SAME_REASON_LIMIT and not any(saved[:SAME_REASON_LIMIT]):
        return None
    doubled: timedelta = FIRST_PAUSE * 2**made
    return min(doubled, LONGEST_PAUSE)


def plan_automatic_attempt(
    connection: Connection,
    task_id: str,
    attempt: int,
    groups: Sequence[TaskFailures],
    groups_before: frozenset[str],
    limit: int,
) -> None:
    """Plan the attempt after one that has just ended, if it is worth one."""
    if not limit or not groups:
        return
    attempts = latest_attempts(connection, task_id, limit + 1)
    same = groups_before == {group.key.group_id for group in groups}
    saved = [sum((one.saved or {}).values()) for one in attempts]
    pause = pause_before([one.cause for one in attempts], saved, groups, same, limit)
    if pause is not None:
        parameters = {"task_id": task_id, "attempt": attempt, "pause": pause.total_seconds()}
        connection.execute(PLAN, parameters)


def due_tasks(connection: Connection, limit: int) -> Sequence[Any]:
    """The tasks whose automatic attempt is due, the longest due first."""
    return connection.scalars(DUE, {"limit": limit}).all()


def forget_automatic_attempt(connection: Connection, task_id: str) -> None:
    """Give up a planned attempt."""
    connection.execute(FORGET, {"task_id": task_id})


def postpone_automatic_attempt(connection: Connection, task_id: str) -> None:
    """Postpone a planned attempt, because a service that it needs did not respond."""
    connection.execute(POSTPONE, {"task_id": task_id, "pause": FIRST_PAUSE.total_seconds()})
