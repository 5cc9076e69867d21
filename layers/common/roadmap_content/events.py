"""Events and their outbox, the table `content_events`.

An event is inserted in the transaction that causes it, so that no event is sent for a change that was rolled
back. It is sent at least once, after the commit: by the invocation that recorded it, by the next one, or by
the sweep. Its id is derived from its content, so that a repeated step records it once.
"""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from .aws.event_bus import Entry
from .errors import ContentError
from .items import ContentType, Failure
from .postgres.transactions import RESERVE, transact
from .runtime.deadline import Deadline
from .runtime.log import logger
from .services import Services

VERSION = "1"
"""The version of the event format. A new optional field does not change it."""

_IDS = uuid.UUID("0a4f0c53-2d7e-5c1e-8c1b-5d1f3c9f6a77")

MOST_SENT = 100
"""Maximum events that one transaction reads from the outbox."""

KEPT_DAYS = 7
"""Days for which a delivered event is kept. During this time it is not recorded again."""


class DetailType(StrEnum):
    """The types of events."""

    ATTEMPT_STARTED = "Attempt Started"
    CONCEPT_COMPLETED = "Concept Completed"
    CONCEPT_FAILED = "Concept Failed"
    BATCH_SAVED = "Batch Saved"
    TASK_FINALIZED = "Task Finalized"
    RECOVERY_ENDED = "Recovery Ended"


class Event(NamedTuple):
    """An event before it is recorded."""

    detail_type: DetailType
    data: Mapping[str, Any]
    identity: tuple[object, ...]
    """The values that distinguish the event from others of its type."""

    @property
    def task_id(self) -> str | None:
        """The task of the event."""
        task_id: str | None = self.data.get("task_id")
        return task_id

    @property
    def event_id(self) -> str:
        """A stable id: the same event always has the same id."""
        return str(uuid.uuid5(_IDS, json.dumps([self.detail_type, *self.identity])))


# Guarantees: each event is stored once, even if it is recorded repeatedly.
RECORD = text("""
INSERT INTO content_events (event_id, detail_type, task_id, detail)
SELECT event_id, detail_type, task_id, detail
FROM json_to_recordset(CAST(:events AS json)) AS e(
    event_id text, detail_type text, task_id text, detail json)
ON CONFLICT (event_id) DO NOTHING
""")

# Guarantees: invocations that deliver at the same time take different events.
WAITING = text("""
SELECT event_id, detail_type, CAST(detail AS text) AS detail FROM content_events
WHERE delivered_at IS NULL ORDER BY position LIMIT :limit FOR UPDATE SKIP LOCKED
""")

DELIVERED = text("""
UPDATE content_events SET delivered_at = timezone('utc', now())
WHERE event_id IN (SELECT json_array_elements_text(CAST(:event_ids AS json)))
""")

COUNT_WAITING = text("""
SELECT count(*) FROM (SELECT FROM content_events WHERE delivered_at IS NULL LIMIT :counted) AS c
""")

PRUNE = text("""
DELETE FROM content_events WHERE delivered_at < timezone('utc', now()) - make_interval(days => :days)
""")


def attempt_started(task_id: str, roadmap_id: str | None, attempt: int, actor: str, cause: str) -> Event:
    """An attempt has been claimed."""
    data = {
        "task_id": task_id,
        "roadmap_id": roadmap_id,
        "attempt": attempt,
        "actor": actor,
        "cause": cause,
    }
    return Event(DetailType.ATTEMPT_STARTED, data, (task_id, attempt))


def concept_completed(
    task_id: str, roadmap_id: str, attempt: int, concept_id: str, concept_name: str
) -> Event:
    """A concept has all of its content."""
    data = {
        "task_id": task_id,
        "roadmap_id": roadmap_id,
        "attempt": attempt,
        "concept_id": concept_id,
        "concept_name": concept_name,
    }
    return Event(DetailType.CONCEPT_COMPLETED, data, (task_id, attempt, concept_id))


def concept_failed(
    task_id: str, roadmap_id: str | None, attempt: int, concept_id: str, failures: Sequence[Failure]
) -> Event:
    """An attempt ended, and a part of a concept's content is missing or was not replaced."""
    data = {
        "task_id": task_id,
        "roadmap_id": roadmap_id,
        "attempt": attempt,
        "concept_id": concept_id,
        "items": [
            {
                "content_type": failure.item.content_type,
                "stage": failure.stage,
                "error_code": failure.error_code,
                "reason": failure.reason,
            }
            for failure in failures
        ],
    }
    return Event(DetailType.CONCEPT_FAILED, data, (task_id, attempt, concept_id))


def batch_saved(
    task_id: str, roadmap_id: str, attempt: int, batch: int, content_type: str, saved: int, failed: int
) -> Event:
    """A batch of one content type has been saved; `failed` of its items were not."""
    data = {
        "task_id": task_id,
        "roadmap_id": roadmap_id,
        "attempt": attempt,
        "batch": batch,
        "content_type": content_type,
        "saved": saved,
        "failed": failed,
    }
    return Event(DetailType.BATCH_SAVED, data, (task_id, attempt, batch))


def task_finalized(
    task_id: str,
    roadmap_id: str | None,
    attempt: int,
    status: str,
    missing: Mapping[ContentType, int],
    generated: Mapping[ContentType, int],
) -> Event:
    """The outcome of a task has been recorded, or corrected. `generated` are items that were not staged."""
    counts = {str(name): count for name, count in missing.items()}
    data = {
        "task_id": task_id,
        "roadmap_id": roadmap_id,
        "attempt": attempt,
        "status": status,
        "missing": counts,
        "generated": {str(name): count for name, count in generated.items()},
    }
    return Event(DetailType.TASK_FINALIZED, data, (task_id, attempt, status, sorted(counts.items())))


def recovery_ended(recovery_id: str, state: str, counts: Mapping[str, int]) -> Event:
    """A recovery has ended."""
    data = {"recovery_id": recovery_id, "state": state, "counts": dict(counts)}
    return Event(DetailType.RECOVERY_ENDED, data, (recovery_id, state))


def detail_of(event: Event, time: datetime) -> dict[str, Any]:
    """The `detail` of an event as it is sent."""
    return {
        "metadata": {
            "id": event.event_id,
            "version": VERSION,
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "correlation_id": event.task_id or event.data["recovery_id"],
        },
        "data": dict(event.data),
    }


def record_events(services: Services, connection: Connection, events: Iterable[Event]) -> None:
    """Record events in the transaction that causes them. Does nothing if no event bus is configured."""
    if not services.settings.event_bus:
        return
    now = datetime.now(UTC)
    rows = [
        {
            "event_id": event.event_id,
            "detail_type": event.detail_type,
            "task_id": event.task_id,
            "detail": detail_of(event, now),
        }
        for event in events
    ]
    if rows:
        connection.execute(RECORD, {"events": json.dumps(rows)})


def deliver_events(services: Services, deadline: Deadline) -> int:
    """Send the events in the outbox while time is left; return the number of events sent.

    Errors of EventBridge and PostgreSQL are not raised: the next invocation or the sweep sends the rest.
    """
    if not services.settings.event_bus:
        return 0
    sent = 0
    try:
        while deadline.remaining > 2 * RESERVE:
            taken = transact(services.engine, lambda connection: _deliver(connection, services), deadline)
            sent += taken
            if taken < MOST_SENT:
                break
    except ContentError as error:
        logger.warning("events_not_delivered", error_code=error.code, reason=str(error))
    return sent


def _deliver(connection: Connection, services: Services) -> int:
    waiting = [Entry(*row) for row in connection.execute(WAITING, {"limit": MOST_SENT})]
    if not waiting:
        return 0
    taken = services.event_bus.put(waiting)
    connection.execute(DELIVERED, {"event_ids": json.dumps(taken)})
    if len(taken) < len(waiting):
        logger.warning("events_refused", refused=len(waiting) - len(taken))
    return len(taken)


def count_waiting_events(connection: Connection, counted: int) -> int:
    """The number of events that wait to be sent, at most `counted`."""
    return int(connection.execute(COUNT_WAITING, {"counted": counted}).scalar_one())


def prune_events(services: Services, deadline: Deadline) -> None:
    """Delete events that were delivered more than `KEPT_DAYS` ago."""
    if services.settings.event_bus:
        transact(services.engine, lambda connection: connection.execute(PRUNE, {"days": KEPT_DAYS}), deadline)
