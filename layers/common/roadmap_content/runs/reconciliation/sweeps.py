"""The table `content_sweeps`: the results of the last sweeps."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, text

RECORD = text("""
INSERT INTO content_sweeps
    (swept_at, seconds, checked, repaired, refused, finished, failures_checked_to)
VALUES (timezone('utc', now()), :seconds, :checked, :repaired, :refused, :finished, :failures_checked_to)
ON CONFLICT (swept_at) DO NOTHING
""")

FORGET_PLACES = text("""
UPDATE content_sweeps SET failures_checked_to = '' WHERE failures_checked_to = ANY(:tasks)
""")

LAST = text("""
SELECT swept_at, seconds, checked, repaired, refused, finished,
    coalesce(failures_checked_to, '') AS failures_checked_to
FROM content_sweeps ORDER BY swept_at DESC LIMIT 1
""")


class Sweep(NamedTuple):
    """The result of one sweep. The time is UTC without a time zone."""

    swept_at: datetime
    seconds: float
    checked: int
    repaired: int
    refused: int
    finished: bool
    failures_checked_to: str
    """The task up to which current failures were checked for deleted tasks."""


def record_sweep(
    connection: Connection,
    *,
    seconds: float,
    checked: int,
    repaired: int,
    refused: int,
    finished: bool,
    failures_checked_to: str,
) -> None:
    """Record the result of a sweep."""
    connection.execute(
        RECORD,
        {
            "seconds": round(seconds, 3),
            "checked": checked,
            "repaired": repaired,
            "refused": refused,
            "finished": finished,
            "failures_checked_to": failures_checked_to,
        },
    )


def forget_places(connection: Connection, task_ids: Sequence[str]) -> None:
    """Remove the ids of tasks at which sweeps stopped. The next one begins at the first task."""
    connection.execute(FORGET_PLACES, {"tasks": list(task_ids)})


def last_sweep(connection: Connection) -> Sweep | None:
    row = connection.execute(LAST).one_or_none()
    return None if row is None else Sweep(*row)
