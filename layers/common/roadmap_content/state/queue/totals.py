"""The attempts that wait or work, counted by class and by user or tenant. Nothing is written."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, text

from ..tasks.work import AT_WORK

_AT_WORK = ", ".join(f"'{state}'" for state in AT_WORK)

BY_CLASS = text(f"""
SELECT class AS queue_class, count(*) FILTER (WHERE state = 'waiting') AS waiting,
    coalesce(CAST(sum(tokens) FILTER (WHERE state = 'waiting') AS bigint), 0) AS waiting_tokens,
    min(enqueued_at) FILTER (WHERE state = 'waiting') AS oldest_waiting_since,
    count(*) FILTER (WHERE state <> 'waiting') AS at_work,
    coalesce(sum(grants) FILTER (WHERE state <> 'waiting'), 0) AS grants
FROM content_queue WHERE state = 'waiting' OR state IN ({_AT_WORK}) GROUP BY class ORDER BY class DESC
""")

BY_KEY = text(f"""
SELECT q.class AS queue_class, q.queue_key, count(*) FILTER (WHERE q.state = 'waiting') AS waiting,
    coalesce(CAST(sum(q.tokens) FILTER (WHERE q.state = 'waiting') AS bigint), 0) AS waiting_tokens,
    min(q.enqueued_at) FILTER (WHERE q.state = 'waiting') AS oldest_waiting_since,
    count(*) FILTER (WHERE q.state <> 'waiting') AS at_work, k.charged
FROM content_queue q JOIN content_queue_keys k USING (class, queue_key)
WHERE q.state = 'waiting' OR q.state IN ({_AT_WORK})
GROUP BY q.class, q.queue_key, k.charged ORDER BY waiting DESC, q.class DESC, q.queue_key LIMIT :limit
""")


class ClassTotals(NamedTuple):
    """The attempts of a class."""

    queue_class: str
    waiting: int
    waiting_tokens: int
    oldest_waiting_since: datetime | None
    at_work: int
    grants: int


class KeyTotals(NamedTuple):
    """The attempts of a user or tenant in a class."""

    queue_class: str
    queue_key: str
    waiting: int
    waiting_tokens: int
    oldest_waiting_since: datetime | None
    at_work: int
    charged: float


def queue_by_class(connection: Connection) -> Sequence[ClassTotals]:
    """The attempts that wait or work, by class; interactive first."""
    return [ClassTotals(*row) for row in connection.execute(BY_CLASS)]


def queue_by_key(connection: Connection, limit: int) -> Sequence[KeyTotals]:
    """The attempts that wait or work, by user or tenant; the longest queues first."""
    return [KeyTotals(*row) for row in connection.execute(BY_KEY, {"limit": limit})]
