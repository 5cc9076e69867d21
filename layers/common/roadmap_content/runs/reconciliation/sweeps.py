"""The table `content_sweeps`: the results of the last sweeps."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, text

from ...platform.storage.keys import prefixes_of

RECORD = text("""
INSERT INTO content_sweeps
    (swept_at, seconds, checked, repaired, refused, finished, tasks_checked_to, texts_checked_to, held)
VALUES (timezone('utc', now()), :seconds, :checked, :repaired, :refused, :finished, :tasks_checked_to,
    :texts_checked_to, :held)
ON CONFLICT (swept_at) DO NOTHING
""")

FORGET_PLACES = text("""
UPDATE content_sweeps SET tasks_checked_to = '', texts_checked_to = ''
WHERE tasks_checked_to = ANY(:tasks) OR texts_checked_to ^@ ANY(:prefixes)
""")

LAST = text("""
SELECT swept_at, seconds, checked, repaired, refused, finished,
    coalesce(tasks_checked_to, '') AS tasks_checked_to, coalesce(texts_checked_to, '') AS texts_checked_to,
    held
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
    tasks_checked_to: str = ""
    """The task after which the next sweep looks for deleted tasks."""

    texts_checked_to: str = ""
    """The key after which the next sweep looks for texts that no row names."""

    held: str | None = None
    """Why the sweep changed nothing (`content_loss.py`)."""


def record_sweep(
    connection: Connection,
    *,
    seconds: float,
    checked: int,
    repaired: int,
    refused: int,
    finished: bool,
    tasks_checked_to: str,
    texts_checked_to: str,
    held: str | None,
) -> None:
    connection.execute(
        RECORD,
        {
            "seconds": round(seconds, 3),
            "checked": checked,
            "repaired": repaired,
            "refused": refused,
            "finished": finished,
            "tasks_checked_to": tasks_checked_to,
            "texts_checked_to": texts_checked_to,
            "held": held,
        },
    )


def forget_places(connection: Connection, task_ids: Sequence[str], roadmap_ids: Sequence[str]) -> None:
    """Remove the places at which sweeps stopped, if they name one of these. The next sweep begins anew."""
    prefixes = [*prefixes_of(roadmap_ids, [])]
    connection.execute(FORGET_PLACES, {"tasks": list(task_ids), "prefixes": prefixes})


def last_sweep(connection: Connection) -> Sweep | None:
    row = connection.execute(LAST).one_or_none()
    return None if row is None else Sweep(*row)
