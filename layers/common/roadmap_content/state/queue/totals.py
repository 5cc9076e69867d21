"""The attempts that wait or work, counted by class and by user or tenant. Nothing is written."""

from sqlalchemy import Connection, text

from ...contracts.api.capacity import ClassInQueue, UserInQueue
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


def queue_by_class(connection: Connection) -> list[ClassInQueue]:
    """The attempts that wait or work, by class; interactive first."""
    return [ClassInQueue.model_validate(row._mapping) for row in connection.execute(BY_CLASS)]  # noqa: SLF001


def queue_by_key(connection: Connection, limit: int) -> list[UserInQueue]:
    """The attempts that wait or work, by user or tenant; the longest queues first."""
    rows = connection.execute(BY_KEY, {"limit": limit})
    return [UserInQueue.model_validate(row._mapping) for row in rows]  # noqa: SLF001
