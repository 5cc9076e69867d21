"""The capacity: the number of slots, and the switch that stops generation; and its use: the attempts that
wait or work, and the place of a waiting one.

The slots and the switch are one row, `content_capacity`, and take effect at once, without a deployment.
"""

from datetime import datetime
from math import ceil
from typing import NamedTuple

from sqlalchemy import Connection, text

from ...content.manifest import planned_batch_size
from ...contracts.api.capacity import ClassInQueue, GenerationStop, QueuePlace, UserInQueue

AT_WORK = "'starting', 'redriving', 'running'"
"""The states of the attempts that count against the capacity."""

READ = text("SELECT slots, stopped_reason, stopped_since FROM content_capacity")

LOCK = text("SELECT FROM content_capacity FOR UPDATE")

# Generation that is stopped again stays stopped since the first time.
CHANGE = text("""
UPDATE content_capacity SET slots = :slots, stopped_reason = CAST(:stopped_reason AS text),
    stopped_since = CASE WHEN CAST(:stopped_reason AS text) IS NOT NULL
        THEN coalesce(stopped_since, now()) END
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
FROM content_queue q JOIN content_queue_keys k ON k.queue_key = q.queue_key
    AND k.class = CASE q.class WHEN 'bulk_paused' THEN 'bulk' ELSE q.class END
WHERE q.state = 'waiting' OR q.state IN ({AT_WORK})
GROUP BY q.class, q.queue_key, k.charged ORDER BY waiting DESC, q.class DESC, q.queue_key LIMIT :limit
""")


MOST_AHEAD = 1_000
"""Attempts ahead are counted up to this limit, so that polling costs the same in any queue."""

FEWEST_ENDED = 10
"""With fewer attempts that have ended in the last hour, the start is not estimated."""

# An attempt's tag is the counter that its user will have when it is next: the present one, and the user's
# own waiting attempts before it. Admission takes the attempts in the order of their tags. Bulk attempts come
# after all interactive ones, but one of them is always at work.
#
# The speed is that of the latest attempts that ended: while attempts wait, the capacity is used up. The time
# begins with the end of the oldest of them, so its tokens were used before that. After the clock was ahead,
# the latest ends are in the future, and do not count.
PLACE = text(f"""
WITH own AS MATERIALIZED (
    SELECT q.class, q.queue_key, earlier.attempts, earlier.tokens, k.charged + earlier.tokens AS tag
    FROM content_queue q JOIN content_queue_keys k USING (class, queue_key)
    CROSS JOIN LATERAL (
        SELECT count(*) AS attempts, coalesce(sum(e.tokens), 0) AS tokens FROM content_queue e
        WHERE e.class = q.class AND e.queue_key = q.queue_key AND e.state = 'waiting'
            AND (e.enqueued_at, e.task_id) < (q.enqueued_at, q.task_id)) AS earlier
    WHERE q.task_id = :task_id AND q.attempt = :attempt AND q.state = 'waiting'
),
ahead AS MATERIALIZED (
    SELECT other.tokens FROM own CROSS JOIN content_queue_keys k
    CROSS JOIN LATERAL (
        SELECT q.tokens, sum(q.tokens) OVER (ORDER BY q.enqueued_at, q.task_id) - q.tokens AS earlier
        FROM content_queue q
        WHERE q.class = k.class AND q.queue_key = k.queue_key AND q.state = 'waiting'
        ORDER BY q.enqueued_at, q.task_id LIMIT :most) AS other
    WHERE k.class = own.class AND k.waiting AND k.queue_key <> own.queue_key AND k.charged <= own.tag
        AND (k.charged + other.earlier, k.queue_key) < (own.tag, own.queue_key)
    UNION ALL
    SELECT q.tokens FROM own, content_queue q
    WHERE own.class = 'bulk' AND q.class = 'interactive' AND q.state = 'waiting' LIMIT :most
),
ended AS MATERIALIZED (
    SELECT tokens, ended_at FROM content_queue WHERE state = 'ended' AND admitted_at IS NOT NULL
        AND ended_at BETWEEN now() - interval '1 hour'
            AND clock_timestamp()
    ORDER BY ended_at DESC LIMIT 100
),
speed AS (
    SELECT count(*) AS attempts, (sum(tokens) - (SELECT tokens FROM ended ORDER BY ended_at LIMIT 1))
        / nullif(extract(epoch FROM clock_timestamp() - min(ended_at)), 0) AS tokens
    FROM ended
)
SELECT own.attempts + a.attempts + 1 AS position,
    own.attempts > 0 OR own.class = 'bulk' OR a.attempts >= :most
        OR EXISTS (SELECT FROM content_queue_keys k WHERE k.class = 'bulk' AND k.waiting)
        OR EXISTS (SELECT FROM content_queue q WHERE q.class = own.class AND q.queue_key = own.queue_key
            AND q.state IN ({AT_WORK})) AS at_least,
    c.stopped_reason IS NOT NULL AS stopped,
    CASE WHEN c.stopped_reason IS NULL AND s.attempts >= :fewest
        THEN CAST((own.tokens + a.tokens) / nullif(s.tokens, 0) AS bigint) END AS starts_in_seconds
FROM own, speed s, content_capacity c,
    (SELECT count(*) AS attempts, coalesce(sum(tokens), 0) AS tokens FROM ahead) AS a
""")

TOKENS_PER_ITEM = 2_500
"""The estimate of an item to generate. Only the relation between users matters; the end corrects it."""


class Work(NamedTuple):
    tokens: int
    """The estimated tokens of the items to generate."""

    grants: int
    """The number of batches that it generates at the same time."""


NOTHING = Work(0, 0)


def work_of(items: int, concepts: int, batch_size: int, max_concurrency: int) -> Work:
    if not items:
        return NOTHING
    batches = ceil(concepts / planned_batch_size(concepts, 0, batch_size))
    return Work(items * TOKENS_PER_ITEM, min(max_concurrency, batches))


class Capacity(NamedTuple):
    slots: int
    stopped_reason: str | None
    stopped_since: datetime | None

    @property
    def stop(self) -> GenerationStop | None:
        if self.stopped_reason is None:
            return None
        return GenerationStop(since=self.stopped_since, reason=self.stopped_reason)


def read_capacity(connection: Connection) -> Capacity:
    return Capacity(*connection.execute(READ).one())


def lock_capacity(connection: Connection) -> None:
    """Lock the row of the capacity, so that admissions and changes run one after another."""
    connection.execute(LOCK)


def change_capacity(connection: Connection, slots: int, stopped_reason: str | None) -> None:
    connection.execute(CHANGE, {"slots": slots, "stopped_reason": stopped_reason})


def queue_by_class(connection: Connection) -> list[ClassInQueue]:
    """The attempts that wait or work, by class; interactive first."""
    return [ClassInQueue.model_validate(row._mapping) for row in connection.execute(BY_CLASS)]


def queue_by_key(connection: Connection, limit: int) -> list[UserInQueue]:
    """The attempts that wait or work, by user or tenant; the longest queues first."""
    rows = connection.execute(BY_KEY, {"limit": limit})
    return [UserInQueue.model_validate(row._mapping) for row in rows]


def read_place(connection: Connection, task_id: str, attempt: int) -> QueuePlace | None:
    """Read the place of an attempt; `None` if it does not wait."""
    parameters = {"task_id": task_id, "attempt": attempt, "most": MOST_AHEAD, "fewest": FEWEST_ENDED}
    row = connection.execute(PLACE, parameters).one_or_none()
    return None if row is None else QueuePlace.model_validate(row._mapping)
