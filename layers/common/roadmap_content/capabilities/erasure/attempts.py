"""The attempts of an erased user, until the last step of each is over.

`before` limits each function to attempts that were claimed earlier; `None`: all.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, text

STEP_SECONDS = 900
"""The longest time of a function. A step that was sent before its attempt ended is over after it."""

_OF_USER = "user_id = :user_id AND (CAST(:before AS timestamptz) IS NULL OR claimed_at < :before)"

# Finds the user's open attempts, also those of deleted tasks.
OPEN_OF_USER = text(f"""
SELECT task_id, attempt, execution_arn FROM content_attempts WHERE {_OF_USER} AND ended_at IS NULL
""")

# Ends the user's open attempts as cancelled.
END_OF_USER = text(f"""
UPDATE content_attempts SET step = 'ended', outcome = 'cancelled', ended_at = now()
WHERE {_OF_USER} AND ended_at IS NULL
""")

# Finds when the last step of the user's attempts is over at the latest; NULL if every step is over. An open
# attempt may send a step now. After its end, a step may still run for `:seconds` if Finalize did not wait for
# all batches: the attempt was cancelled or superseded, or a batch was lost (a failure of stage `workflow`).
QUIET_AT = text(f"""
SELECT max(coalesce(ended_at, now())) + make_interval(secs => :seconds)
FROM content_attempts a
WHERE {_OF_USER} AND (ended_at IS NULL
    OR ended_at > now() - make_interval(secs => :seconds)
    AND (outcome IN ('cancelled', 'superseded') OR EXISTS (SELECT FROM content_failures f
        WHERE (f.task_id, f.attempt) = (a.task_id, a.attempt) AND f.stage = 'workflow')))
""")


def open_attempts_of(
    connection: Connection, user_id: str, before: datetime | None
) -> Sequence[tuple[str, int, str | None]]:
    """A user's open attempts, also those of deleted tasks: each one's task, number and execution."""
    return [(*row,) for row in connection.execute(OPEN_OF_USER, {"user_id": user_id, "before": before})]


def end_attempts_of(connection: Connection, user_id: str, before: datetime | None) -> datetime | None:
    """End a user's open attempts as cancelled; return `quiet_at`."""
    connection.execute(END_OF_USER, {"user_id": user_id, "before": before})
    return quiet_at(connection, user_id, before)


def quiet_at(connection: Connection, user_id: str, before: datetime | None) -> datetime | None:
    """The time (UTC) at which the last step of a user's attempts is over; `None` if all are over."""
    parameters = {"user_id": user_id, "before": before, "seconds": STEP_SECONDS}
    found: datetime | None = connection.scalar(QUIET_AT, parameters)
    return found
