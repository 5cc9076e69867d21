"""The place of a waiting attempt in the queue, and about when it starts."""

from sqlalchemy import Connection, text

from ...contracts.api.capacity import QueuePlace

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
PLACE = text("""
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
    WHERE own.class = 'bulk' AND q.class = 'interactive' AND q.state = 'waiting'
    LIMIT :most
),
ended AS MATERIALIZED (
    SELECT tokens, ended_at FROM content_queue
    WHERE state = 'ended' AND admitted_at IS NOT NULL
        AND ended_at BETWEEN timezone('utc', now()) - interval '1 hour'
            AND timezone('utc', clock_timestamp())
    ORDER BY ended_at DESC LIMIT 100
),
speed AS (
    SELECT count(*) AS attempts, (sum(tokens) - (SELECT tokens FROM ended ORDER BY ended_at LIMIT 1))
        / nullif(extract(epoch FROM timezone('utc', clock_timestamp()) - min(ended_at)), 0) AS tokens
    FROM ended
)
SELECT own.attempts + a.attempts + 1 AS position,
    own.attempts > 0 OR own.class = 'bulk' OR a.attempts >= :most
        OR EXISTS (SELECT FROM content_queue_keys k WHERE k.class = 'bulk' AND k.waiting)
        OR EXISTS (SELECT FROM content_queue q WHERE q.class = own.class AND q.queue_key = own.queue_key
            AND q.state IN ('starting', 'redriving', 'running')) AS at_least,
    c.stopped_reason IS NOT NULL AS stopped,
    CASE WHEN c.stopped_reason IS NULL AND s.attempts >= :fewest
        THEN CAST((own.tokens + a.tokens) / nullif(s.tokens, 0) AS bigint) END AS starts_in_seconds
FROM own, speed s, content_capacity c,
    (SELECT count(*) AS attempts, coalesce(sum(tokens), 0) AS tokens FROM ahead) AS a
""")


def read_place(connection: Connection, task_id: str, attempt: int) -> QueuePlace | None:
    """Read the place of an attempt; `None` if it does not wait."""
    parameters = {"task_id": task_id, "attempt": attempt, "most": MOST_AHEAD, "fewest": FEWEST_ENDED}
    row = connection.execute(PLACE, parameters).one_or_none()
    return None if row is None else QueuePlace.model_validate(row._mapping)  # noqa: SLF001 - SQLAlchemy's
