"""The capacity: the number of slots, the model's quota, and the switch that stops generation; and its use.

They are one row, `content_capacity`, and take effect at once, without a deployment. Each change has a row in
`content_capacity_changes`.
"""

from datetime import datetime
from math import ceil
from typing import NamedTuple

from sqlalchemy import Connection, text

from ...content.manifest import planned_batch_sizes
from ...contracts.api.capacity import (
    CapacityChange,
    CapacityRequest,
    ClassInQueue,
    GenerationStop,
    UserInQueue,
)

AT_WORK = "'starting', 'redriving', 'running'"
"""The states of the attempts that count against the capacity."""

OVERSUBSCRIPTION = 1.3
"""Granted batches per slot, at most. A run does not always have all of them at work, because its last ones
end one by one. The reserved concurrency of Generate stays the hard limit.
"""

READ = text("""
SELECT slots, tokens_per_minute, stopped_reason, CASE WHEN stopped_reason IS NOT NULL
    THEN (SELECT max(changed_at) FROM content_capacity_changes WHERE stopped AND NOT stopped_before) END
FROM content_capacity
""")

# Guarantees: a change and its record exist together, and are recorded in the order in which they apply. A
# change to the current values is not recorded. NULL keeps the current value; 0 tokens remove the quota.
CHANGE = text("""
WITH before AS MATERIALIZED (
    SELECT slots, stopped_reason, tokens_per_minute,
        CASE WHEN CAST(:tokens_per_minute AS bigint) IS NULL THEN tokens_per_minute
            ELSE nullif(CAST(:tokens_per_minute AS bigint), 0) END AS new_tokens_per_minute
    FROM content_capacity FOR UPDATE
),
after AS (
    UPDATE content_capacity c SET changed_by = :actor, changed_at = timezone('utc', now()),
        slots = coalesce(CAST(:slots AS integer), b.slots), tokens_per_minute = b.new_tokens_per_minute,
        stopped_reason = CASE CAST(:stopped AS boolean)
            WHEN true THEN CAST(:reason AS text) WHEN false THEN NULL ELSE b.stopped_reason END
    FROM before b
    WHERE coalesce(CAST(:slots AS integer), b.slots) <> b.slots
        OR CAST(:stopped AS boolean) <> (b.stopped_reason IS NOT NULL)
        OR b.new_tokens_per_minute IS DISTINCT FROM b.tokens_per_minute
    RETURNING c.slots, c.stopped_reason
)
INSERT INTO content_capacity_changes (actor, reason, slots_before, slots, tokens_per_minute_before,
    tokens_per_minute, stopped_before, stopped)
SELECT :actor, :reason, b.slots, a.slots, b.tokens_per_minute, b.new_tokens_per_minute,
    b.stopped_reason IS NOT NULL, a.stopped_reason IS NOT NULL
FROM before b, after a
""")

CHANGES = text("""
SELECT changed_at AS at, actor, reason, slots_before, slots, tokens_per_minute_before, tokens_per_minute,
    stopped_before, stopped
FROM content_capacity_changes ORDER BY change_id DESC LIMIT :limit
""")

BY_CLASS = text(f"""
SELECT class AS queue_class, count(*) FILTER (WHERE state = 'waiting') AS waiting,
    coalesce(CAST(sum(tokens) FILTER (WHERE state = 'waiting') AS bigint), 0) AS waiting_tokens,
    min(enqueued_at) FILTER (WHERE state = 'waiting') AS oldest_waiting_since,
    count(*) FILTER (WHERE state <> 'waiting') AS at_work,
    coalesce(sum(grants) FILTER (WHERE state <> 'waiting'), 0) AS grants
FROM content_queue WHERE state = 'waiting' OR state IN ({AT_WORK}) GROUP BY class ORDER BY class DESC
""")

BY_KEY = text(f"""
SELECT q.class AS queue_class, q.queue_key, count(*) FILTER (WHERE q.state = 'waiting') AS waiting,
    coalesce(CAST(sum(q.tokens) FILTER (WHERE q.state = 'waiting') AS bigint), 0) AS waiting_tokens,
    min(q.enqueued_at) FILTER (WHERE q.state = 'waiting') AS oldest_waiting_since,
    count(*) FILTER (WHERE q.state <> 'waiting') AS at_work, k.charged
FROM content_queue q JOIN content_queue_keys k USING (class, queue_key)
WHERE q.state = 'waiting' OR q.state IN ({AT_WORK})
GROUP BY q.class, q.queue_key, k.charged ORDER BY waiting DESC, q.class DESC, q.queue_key LIMIT :limit
""")


def granted_batches(slots: int) -> int:
    """The limit of the sum of the grants for users without an attempt at work. For others, it is `slots`."""
    return ceil(slots * OVERSUBSCRIPTION)


TOKENS_PER_ITEM = 2_500
"""The estimate of an item to generate. Only the relation between users matters; the end corrects it."""


class Work(NamedTuple):
    tokens: int
    """The estimated tokens of the items to generate."""

    grants: int
    """The number of batches that it generates at the same time."""


NOTHING = Work(0, 0)


def work_of(items: int, concepts: int, batch_size: int, max_concurrency: int) -> Work:
    """The work of an attempt that generates `items` of this number of concepts."""
    if not items:
        return NOTHING
    batches = ceil(concepts / planned_batch_sizes(concepts, 0, batch_size).generate)
    return Work(items * TOKENS_PER_ITEM, min(max_concurrency, batches))


class Capacity(NamedTuple):
    slots: int
    tokens_per_minute: int | None
    """The model's quota; `None` if none is configured."""

    stopped_reason: str | None
    """The reason why generation is stopped; `None` if it is not."""

    stopped_since: datetime | None

    @property
    def stop(self) -> GenerationStop | None:
        """The stop of generation; `None` if it is not stopped."""
        if self.stopped_reason is None:
            return None
        return GenerationStop(since=self.stopped_since, reason=self.stopped_reason)


def read_capacity(connection: Connection) -> Capacity:
    return Capacity(*connection.execute(READ).one())


def change_capacity(connection: Connection, actor: str, request: CapacityRequest) -> bool:
    """Change the capacity and record the change; return whether anything changed. `None` keeps a value, and
    0 tokens remove the quota.
    """
    return connection.execute(CHANGE, {"actor": actor, **request.model_dump()}).rowcount == 1


def latest_changes(connection: Connection, limit: int) -> list[CapacityChange]:
    rows = connection.execute(CHANGES, {"limit": limit})
    return [CapacityChange.model_validate(row._mapping) for row in rows]  # noqa: SLF001


def queue_by_class(connection: Connection) -> list[ClassInQueue]:
    """The attempts that wait or work, by class; interactive first."""
    return [ClassInQueue.model_validate(row._mapping) for row in connection.execute(BY_CLASS)]  # noqa: SLF001


def queue_by_key(connection: Connection, limit: int) -> list[UserInQueue]:
    """The attempts that wait or work, by user or tenant; the longest queues first."""
    rows = connection.execute(BY_KEY, {"limit": limit})
    return [UserInQueue.model_validate(row._mapping) for row in rows]  # noqa: SLF001
