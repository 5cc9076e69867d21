"""The answers of the routes of recoveries."""

from collections.abc import Sequence

from sqlalchemy import Connection

from ...api.pages import Integer, Moment, Text, decode_cursor, page_of
from ...contracts.api.failures import MOST_RECOVERIES
from ...contracts.api.recoveries import (
    MOST_POINTS,
    RecoveryAnswer,
    RecoveryPage,
    RecoveryProgress,
    RecoveryTask,
    RecoveryTaskPage,
    UndoCounts,
)
from ...contracts.states import TaskResult
from .create import MAX_TASKS
from .decisions import STARTING_STATES, time_left
from .recovery import Recovery, read_recoveries, read_recovery, recoveries_of_group
from .recovery_tasks import count_ended, count_tasks, count_undone, read_ends, read_tasks


def list_recoveries(connection: Connection, cursor: str | None, limit: int) -> RecoveryPage:
    """Read a page of recoveries. Raises InvalidCursorError: the cursor belongs to another list."""
    after = decode_cursor("recoveries", cursor, tuple[Moment, Text])
    found = read_recoveries(connection, after, limit + 1)
    rows, next_cursor = page_of(
        "recoveries", found, limit, lambda recovery: [recovery.created_at, recovery.recovery_id]
    )
    return RecoveryPage(items=[describe(connection, recovery) for recovery in rows], next_cursor=next_cursor)


def list_recovery_tasks(
    connection: Connection, recovery_id: str, result: TaskResult | None, cursor: str | None, limit: int
) -> RecoveryTaskPage:
    """Read a page of a recovery's tasks.

    Raises:
        RecoveryNotFoundError: there is none.
        InvalidCursorError: the cursor belongs to another list.
    """
    read_recovery(connection, recovery_id)
    list_name = f"recovery tasks {recovery_id} {result or ''}"
    (after,) = decode_cursor(list_name, cursor, tuple[Integer]) or (0,)
    after = min(after, MAX_TASKS)  # a larger number may not fit into the column
    found = read_tasks(connection, recovery_id, result, after, limit + 1)
    rows, next_cursor = page_of(list_name, found, limit, lambda row: [row.position])
    return RecoveryTaskPage(
        items=[RecoveryTask.model_validate(row, from_attributes=True) for row in rows],
        next_cursor=next_cursor,
    )


def describe_latest_of_group(connection: Connection, group_id: str) -> Sequence[RecoveryAnswer]:
    """The latest recoveries of a failure group."""
    recoveries = recoveries_of_group(connection, group_id, MOST_RECOVERIES)
    return [describe(connection, recovery) for recovery in recoveries]


def describe(connection: Connection, recovery: Recovery) -> RecoveryAnswer:
    """Describe a recovery with its counts, without its progress: for a list."""
    counts = count_tasks(connection, recovery.recovery_id)
    return RecoveryAnswer.model_validate(
        vars(recovery)
        | {
            "counts": counts.by_result,
            "rate_actual": _rate(recovery, counts.attempted),
            "undone": _undone(connection, recovery),
        }
    )


def describe_one(connection: Connection, recovery: Recovery) -> RecoveryAnswer:
    """Describe a recovery with its counts and its progress."""
    answer, least, most = describe(connection, recovery), None, None
    since = recovery.resumed_at or recovery.started_at
    if since and recovery.state in STARTING_STATES:
        elapsed = recovery.now - since
        ended, lately = count_ended(connection, recovery.recovery_id, since, recovery.now - elapsed / 2)
        left = answer.counts["waiting"] + answer.counts["running"]
        if times := time_left(ended, lately, left, elapsed):
            least, most = (round(time.total_seconds()) for time in times)
    progress = RecoveryProgress(
        ended=read_ends(connection, recovery.recovery_id, MOST_POINTS - 1),
        least_seconds=least,
        most_seconds=most,
    )
    return answer.model_copy(update={"progress": progress})


def _undone(connection: Connection, recovery: Recovery) -> UndoCounts | None:
    """The counts of a regeneration's undo; `None` if none has begun."""
    if "regenerate" not in recovery.filter or recovery.ended_at is None:
        return None
    counts = UndoCounts.model_validate(count_undone(connection, recovery.recovery_id))
    # Each task of a regeneration has at least one item.
    return counts if counts.restored + counts.not_replaced + counts.left_alone else None


def _rate(recovery: Recovery, started: int) -> float | None:
    """Started tasks per minute since the recovery has started, pauses included."""
    if recovery.started_at is None:
        return None
    end = recovery.ended_at or recovery.now
    minutes = (end - recovery.started_at).total_seconds() / 60
    return round(started / minutes, 1) if minutes > 0 else None
