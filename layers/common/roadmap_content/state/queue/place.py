"""The place of a waiting attempt in the queue, and when it is likely to start."""

from typing import Any

from sqlalchemy import Connection, Row, text

from ...contracts.api.capacity import QueuePlace
from ...contracts.states import QueueClass
from .capacity import AT_WORK, read_capacity

MOST_AHEAD = 1_000
"""Attempts ahead are counted up to this limit, so that polling costs the same in any queue."""

FEWEST_ENDED = 10
"""With fewer attempts that have ended in the last hour, the start is not estimated."""

# Counts the waiting attempts that come before one, and their tokens; no row if it does not wait. Admission
# takes the attempts of a class in the order of their tags: the virtual time that an attempt's key (user or
# tenant) will have when the attempt is the key's next one, which is the present one and the tokens of the
# key's waiting attempts before it. `own`: the attempt, with the number and tokens of its key's before it.
# `ahead_of_other_keys`: those with a smaller tag; `virtual_time <= own.tag` leaves out keys of which none can
# have one. Before a bulk attempt, also all interactive ones. The last LIMIT is that of the whole UNION.
AHEAD = text(f"""
WITH own AS MATERIALIZED (
    SELECT q.class, q.queue_key, earlier.attempts, earlier.tokens, k.virtual_time + earlier.tokens AS tag
    FROM content_queue q JOIN content_queue_keys k USING (class, queue_key)
    CROSS JOIN LATERAL (
        SELECT count(*) AS attempts, coalesce(sum(e.tokens), 0) AS tokens FROM content_queue e
        WHERE e.class = q.class AND e.queue_key = q.queue_key AND e.state = 'waiting'
            AND (e.enqueued_at, e.task_id) < (q.enqueued_at, q.task_id)) AS earlier
    WHERE q.task_id = :task_id AND q.attempt = :attempt AND q.state = 'waiting'
),
ahead_of_other_keys AS MATERIALIZED (
    SELECT other.tokens FROM own CROSS JOIN content_queue_keys k
    CROSS JOIN LATERAL (
        SELECT q.tokens, sum(q.tokens) OVER (ORDER BY q.enqueued_at, q.task_id) - q.tokens AS earlier
        FROM content_queue q
        WHERE q.class = k.class AND q.queue_key = k.queue_key AND q.state = 'waiting'
        ORDER BY q.enqueued_at, q.task_id LIMIT :most) AS other
    WHERE k.class = own.class AND k.waiting AND k.queue_key <> own.queue_key AND k.virtual_time <= own.tag
        AND (k.virtual_time + other.earlier, k.queue_key) < (own.tag, own.queue_key)
    UNION ALL
    SELECT q.tokens FROM own, content_queue q
    WHERE own.class = 'bulk' AND q.class = 'interactive' AND q.state = 'waiting' LIMIT :most
)
SELECT own.class AS queue_class, own.attempts AS own_attempts, a.attempts AS others,
    own.tokens + a.tokens AS tokens,
    EXISTS (SELECT FROM content_queue_keys k WHERE k.class = 'bulk' AND k.waiting) AS bulk_waits,
    EXISTS (SELECT FROM content_queue q WHERE q.class = own.class AND q.queue_key = own.queue_key
        AND q.state IN ({AT_WORK})) AS own_at_work
FROM own, (SELECT count(*) AS attempts, coalesce(sum(tokens), 0) AS tokens FROM ahead_of_other_keys) AS a
""")

# Measures the speed of the system by the attempts that ended last: while attempts wait, the capacity is used
# up. The time begins with the end of the oldest of them, whose tokens were used before that. After the clock
# was ahead, the latest ends are in the future, and do not count.
SPEED = text("""
SELECT count(*) AS attempts, sum(tokens) - (array_agg(tokens ORDER BY ended_at))[1] AS tokens,
    extract(epoch FROM clock_timestamp() - min(ended_at)) AS seconds
FROM (SELECT tokens, ended_at FROM content_queue WHERE state = 'ended' AND admitted_at IS NOT NULL
        AND ended_at BETWEEN now() - interval '1 hour' AND clock_timestamp()
    ORDER BY ended_at DESC LIMIT 100) AS latest
""")


def read_place(connection: Connection, task_id: str, attempt: int) -> QueuePlace | None:
    """Read the place of an attempt; `None` if it does not wait, or a paused recovery holds it. If others
    may pass it, its position is the least one (`at_least`).
    """
    waiting = {"task_id": task_id, "attempt": attempt, "most": MOST_AHEAD}
    ahead = connection.execute(AHEAD, waiting).one_or_none()
    if ahead is None:
        return None
    stopped = read_capacity(connection).stopped_reason is not None
    speed = None if stopped else _tokens_per_second(connection.execute(SPEED).one())
    return QueuePlace(
        position=ahead.own_attempts + ahead.others + 1,
        # A key with half of the slots is passed over (`order.py`): it may have them now, or then.
        at_least=ahead.own_at_work
        or ahead.own_attempts > 0
        or ahead.others >= MOST_AHEAD  # the others are not counted
        or ahead.queue_class == QueueClass.BULK  # later interactive attempts come before it
        or ahead.bulk_waits,  # the first bulk attempt comes before interactive ones
        stopped=stopped,
        starts_in_seconds=None if speed is None else round(float(ahead.tokens) / speed),
    )


def _tokens_per_second(latest: Row[Any]) -> float | None:
    """The speed of the latest attempts; `None` if they are too few, or used no tokens."""
    if latest.attempts < FEWEST_ENDED or not latest.tokens or not latest.seconds:
        return None
    return float(latest.tokens) / float(latest.seconds)
