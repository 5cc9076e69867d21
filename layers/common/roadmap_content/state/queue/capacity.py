"""The capacity: the number of slots, and the switch that stops generation; and its use: the attempts that
wait or work.

A slot is the right to generate one batch; an attempt's grants are the number of batches that it may generate
at once. The slots and the switch are one row, `content_capacity`, and take effect at once, without a
deployment. `class` and `queue_key` of an attempt: see `queue.py`.
"""

from datetime import datetime
from math import ceil
from typing import NamedTuple

from sqlalchemy import Connection, text

from ...content.manifest import planned_batch_size
from ...contracts.api.capacity import ClassInQueue, GenerationStop, UserInQueue

AT_WORK = "'starting', 'redriving', 'running'"
"""The states of the attempts that count against the capacity."""

READ = text("SELECT slots, stopped_reason, stopped_since FROM content_capacity")

LOCK = text("SELECT FROM content_capacity FOR UPDATE")

# Changes the slots and the switch. Generation that is stopped again stays stopped since the first time.
CHANGE = text("""
UPDATE content_capacity SET slots = :slots, stopped_reason = CAST(:stopped_reason AS text),
    stopped_since = CASE WHEN CAST(:stopped_reason AS text) IS NOT NULL
        THEN coalesce(stopped_since, now()) END
""")

# Counts the attempts that wait or work, by class; `interactive` comes before `bulk`.
BY_CLASS = text("""
SELECT class AS queue_class, count(*) FILTER (WHERE state = 'waiting') AS waiting,
    coalesce(CAST(sum(tokens) FILTER (WHERE state = 'waiting') AS bigint), 0) AS waiting_tokens,
    min(enqueued_at) FILTER (WHERE state = 'waiting') AS oldest_waiting_since,
    count(*) FILTER (WHERE state <> 'waiting') AS at_work
FROM content_queue WHERE state <> 'ended' GROUP BY class ORDER BY class DESC
""")

# Counts them by user or tenant, the longest queues first.
BY_KEY = text("""
SELECT class AS queue_class, queue_key, count(*) FILTER (WHERE state = 'waiting') AS waiting,
    coalesce(CAST(sum(tokens) FILTER (WHERE state = 'waiting') AS bigint), 0) AS waiting_tokens,
    min(enqueued_at) FILTER (WHERE state = 'waiting') AS oldest_waiting_since,
    count(*) FILTER (WHERE state <> 'waiting') AS at_work
FROM content_queue WHERE state <> 'ended'
GROUP BY class, queue_key ORDER BY waiting DESC, class DESC, queue_key LIMIT :limit
""")


# Changes nothing. A server or a role that is read-only refuses it, and so does one without the right.
WRITE = text("UPDATE content_capacity SET slots = slots WHERE false")


TOKENS_PER_ITEM = 2_500
"""The estimate of an item to generate. Only the relation between users matters; the end corrects it."""


class Work(NamedTuple):
    """The work of an attempt in the queue."""

    tokens: int
    """The estimated tokens of the items to generate."""

    grants: int


NOTHING = Work(0, 0)


def work_of(items: int, concepts: int, batch_size: int, max_concurrency: int) -> Work:
    """The work of an attempt for these numbers of items and their concepts, if none is staged.
    `max_concurrency` is the maximum number of batches that a run generates at once.
    """
    if not items:
        return NOTHING
    batches = ceil(concepts / planned_batch_size(concepts, 0, batch_size))
    return Work(items * TOKENS_PER_ITEM, min(max_concurrency, batches))


class Capacity(NamedTuple):
    """The row `content_capacity`."""

    slots: int
    stopped_reason: str | None
    """The reason of the operator who has stopped generation; `None` while it is not stopped."""

    stopped_since: datetime | None

    @property
    def stop(self) -> GenerationStop | None:
        if self.stopped_reason is None:
            return None
        return GenerationStop(since=self.stopped_since, reason=self.stopped_reason)


def require_write(connection: Connection) -> None:
    """Require that the role can write. Raises DBAPIError."""
    connection.execute(WRITE)


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
