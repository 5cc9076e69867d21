"""The table `content_sweeps`: the results of the last sweeps."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, text

from ...platform.storage.keys import prefixes_of

# Inserts a sweep, once also if the transaction is repeated.
RECORD = text("""
INSERT INTO content_sweeps
    (swept_at, seconds, checked, repaired, refused, finished, places, held)
VALUES (:swept_at, :seconds, :checked, :repaired, :refused, :finished,
    CAST(:places AS json), :held)
ON CONFLICT (swept_at) DO NOTHING
""")

# Removes the places at which sweeps stopped, if one is of these tasks, or begins with these roadmaps' keys.
FORGET_PLACES = text("""
UPDATE content_sweeps SET places = '{}' WHERE EXISTS (
    SELECT FROM json_each_text(places) AS p WHERE p.value = ANY(:tasks) OR p.value ^@ ANY(:prefixes))
""")

LAST = text("""
SELECT swept_at, seconds, checked, repaired, refused, finished, places, held
FROM content_sweeps ORDER BY swept_at DESC LIMIT 1
""")


class Sweep(NamedTuple):
    """The result of one sweep."""

    swept_at: datetime
    seconds: float
    checked: int
    repaired: int
    refused: int
    finished: bool
    places: Mapping[str, str]
    """By the name of a scan: the task or the key after which the next sweep continues it."""

    held: str | None = None
    """Why the sweep changed nothing (`content_loss.py`)."""


def record_sweep(connection: Connection, sweep: Sweep) -> None:
    """Record a sweep."""
    connection.execute(RECORD, sweep._asdict() | {"places": json.dumps(sweep.places)})


def forget_places(connection: Connection, task_ids: Sequence[str], roadmap_ids: Sequence[str]) -> None:
    """Remove the places at which sweeps stopped, if they name one of these. The next sweep begins anew."""
    prefixes = [*prefixes_of(roadmap_ids, [])]
    connection.execute(FORGET_PLACES, {"tasks": list(task_ids), "prefixes": prefixes})


def last_sweep(connection: Connection) -> Sweep | None:
    """The latest sweep; `None` before the first."""
    row = connection.execute(LAST).one_or_none()
    return None if row is None else Sweep(*row)
