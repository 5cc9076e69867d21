"""The outbox of events, the table `content_events`.

An event is inserted in the transaction that causes it, so that no event is sent for a change that was rolled
back, and sent at least once. An invocation leases the events of one request, sends them after the commit, and
records the result together with the next lease.

The same rows are the feed of a task's changes, which does not need an event bus: without one, events are
recorded as delivered. An event of a batch reports many changes (`contracts/events.py`, `changes_of`): its
parts.

An event that EventBridge refuses is tried again after a pause that doubles, and does not delay the others. An
event that is too large, or refused for a day, is set aside with the error's code.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection, text

from ..contracts.documents import storable_json
from ..contracts.errors import ContentError
from ..contracts.events import Change, DetailType, Event, changes_of, detail_of, number_of_changes
from ..platform.aws.event_bus import MAX_BYTES, MAX_ENTRIES, REQUEST_SECONDS, Entry, EventBusUnavailableError
from ..platform.postgres.transactions import RESERVE, transact
from ..platform.runtime.deadline import Deadline
from ..platform.runtime.log import logger
from ..platform.runtime.metrics import Metric, emit
from .services import Services

LEASE_SECONDS = 60
"""The time after which an event is sent again if its sender did not record a result. Longer than the requests
for the events of one lease."""

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 15, 3_600
"""Pauses after a refused event."""

OLDEST_RETRIED_SECONDS = 24 * 3_600
"""An event of this age that is refused again is set aside."""

TOO_LARGE = "EventTooLarge"

_IDS = "(SELECT json_array_elements_text(CAST(:event_ids AS json)))"
_IS_WAITING = "delivered_at IS NULL AND set_aside_at IS NULL"

# Inserts events. Guarantees: each event is stored once, even if it is recorded repeatedly; the events of a
# task become visible in the order of their positions, so that a reader who continues after a position misses
# none. A transaction holds the lock of a task's events from before its first position until it ends. The
# locks are taken in the order of the tasks, after all others (`lock_task`).
RECORD = text("""
WITH new_events AS (
    SELECT * FROM json_to_recordset(CAST(:events AS json)) AS e(
        ordinal integer, event_id text, detail_type text, task_id text, detail json, changes integer)
), locks AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtextextended('content_events ' || task_id, 0))
    FROM (SELECT DISTINCT task_id FROM new_events WHERE task_id IS NOT NULL ORDER BY task_id) AS tasks
)
INSERT INTO content_events (event_id, detail_type, task_id, detail, changes, delivered_at)
SELECT event_id, detail_type, task_id, detail, changes,
    CASE WHEN :has_bus THEN NULL ELSE now() END
FROM (SELECT count(*) FROM locks) AS every_lock CROSS JOIN new_events ORDER BY ordinal
ON CONFLICT (event_id) DO NOTHING
""")

# Reads a task's events from a position on, as many as have the next `:limit` changes: the document of each
# may have 240 kB. `:part` is the index, from 0, of the change in the first event that was read last, -1 for
# none; `unread` is the number of changes after it and before an event. Each event has at least one change, so
# `:limit` events are enough after the first one, of which all may have been read.
CHANGES = text("""
SELECT position, recorded_at, event_id, detail_type, CAST(detail AS text) AS detail FROM (
    SELECT e.*, sum(e.changes) OVER (ORDER BY e.position) - e.changes
        - least(:part + 1, first_value(e.changes) OVER (ORDER BY e.position)) AS unread
    FROM content_events e WHERE e.task_id = :task_id AND e.position >= :first
    ORDER BY e.position LIMIT :limit + 1) AS found
WHERE unread < :limit ORDER BY position
""")

# Reads the events of one type since the claim of an attempt, which precedes its events. The index finds all
# events of the task, of which few have the type.
OF_BATCHES = text("""
SELECT event_id, detail_type, CAST(detail AS text) AS detail FROM content_events
WHERE task_id = :task_id AND detail_type = :detail_type AND recorded_at >= (
    SELECT claimed_at FROM content_attempts WHERE task_id = :task_id AND attempt = :attempt)
""")

# Locks the events that are due. Guarantees: no invocation waits for another one that takes events.
DUE = text(f"""
SELECT event_id, detail_type, CAST(detail AS text) AS detail FROM content_events
WHERE {_IS_WAITING} AND due_at <= now()
ORDER BY due_at, position LIMIT :limit FOR UPDATE SKIP LOCKED
""")

# Leases events. Guarantees: until the lease ends, no other invocation takes them.
LEASE = text(f"""
UPDATE content_events SET due_at = now() + make_interval(secs => :seconds)
WHERE event_id IN {_IDS}
""")

# Ends the lease of events that were not sent: they are due again, at their old place.
RELEASE = text(f"UPDATE content_events SET due_at = recorded_at WHERE event_id IN {_IDS}")

DELIVERED = text(f"UPDATE content_events SET delivered_at = now() WHERE event_id IN {_IDS}")

# Records refused events: each is due again after a pause, or set aside; other events are not affected. The
# exponent is bounded, because a larger power is no number.
REFUSED = text(f"""
UPDATE content_events e SET tries = e.tries + 1, error_code = r.error_code,
    due_at = now()
        + make_interval(secs => least(:first_pause * power(2, least(e.tries, 20)), :longest_pause)),
    set_aside_at = CASE WHEN r.error_code = :too_large
        OR e.recorded_at < now() - make_interval(secs => :oldest_retried)
        THEN now() END
FROM json_each_text(CAST(:refused AS json)) AS r(event_id, error_code)
WHERE e.event_id = r.event_id AND {_IS_WAITING}
RETURNING e.event_id, e.detail_type, e.task_id, e.error_code, e.set_aside_at IS NOT NULL AS is_aside
""")

# Counts the events that wait, up to a limit, and those that were set aside, which are few.
COUNT_UNSENT = text(f"""
SELECT (SELECT count(*) FROM (SELECT FROM content_events WHERE {_IS_WAITING} LIMIT :counted) AS waiting),
    (SELECT count(*) FROM content_events WHERE set_aside_at IS NOT NULL)
""")


@dataclass(frozen=True)
class Sent:
    """The result of one request."""

    accepted: Sequence[str] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    """Error codes by event."""

    unsent: Sequence[str] = ()
    """Events of a request that failed."""


def record_events(services: Services, connection: Connection, events: Iterable[Event]) -> None:
    """Record events in the transaction that causes them, after its other locks."""
    now = datetime.now(UTC)
    rows = [
        {
            "ordinal": ordinal,
            "event_id": event.event_id,
            "detail_type": event.detail_type,
            "task_id": event.task_id,
            "detail": detail_of(event, now),
            "changes": number_of_changes(event.data),
        }
        for ordinal, event in enumerate(events)
    ]
    if rows:
        has_bus = bool(services.settings.event_bus)
        connection.execute(RECORD, {"events": storable_json(rows), "has_bus": has_bus})


class RecordedEvent(NamedTuple):
    """An event of a task's feed."""

    position: int
    """Increases in the order in which a task's events were committed."""

    recorded_at: datetime
    """Together with the position, identifies the event also after the database was restored from a backup:
    other events have the same positions then.
    """

    event_id: str
    detail_type: str
    detail: str
    """A JSON document: see `detail_of`."""


def events_of_task(
    connection: Connection, task_id: str, first: int, part: int, limit: int
) -> list[RecordedEvent]:
    """A task's events from the position `first` on, in order: as many as have the next `limit` changes after
    the one at index `part` of the first event. A delivered event is kept for some days.
    """
    parameters = {"task_id": task_id, "first": first, "part": part, "limit": limit}
    return [RecordedEvent(*row) for row in connection.execute(CHANGES, parameters)]


def changes_of_batches(connection: Connection, task_id: str, attempt: int) -> Iterator[Change]:
    """The changes that the saved batches of an attempt have reported."""
    about = {"task_id": task_id, "attempt": attempt, "detail_type": DetailType.BATCH_SAVED}
    for event_id, detail_type, detail in connection.execute(OF_BATCHES, about):
        yield from changes_of(event_id, detail_type, json.loads(detail)["data"])


def deliver_events(services: Services, deadline: Deadline) -> int:
    """Send the events in the outbox while time is left; return the number of events sent. Errors of
    EventBridge and PostgreSQL are not raised: the next invocation or the sweep sends the rest.
    """
    if not services.settings.event_bus:
        return 0
    number = 0
    last = Sent()  # the result of the last request, which the next transaction records
    try:
        # After a request that failed, or without time for one, only the result of the last one is recorded.
        while not last.unsent and deadline.remaining >= RESERVE + REQUEST_SECONDS:
            entries = _exchange(services, last, deadline)
            if not entries:
                return number
            last = _send(services, entries)
            number += len(last.accepted)
        if last != Sent():
            transact(services.engine, _record, deadline, last)
    except ContentError as error:
        logger.warning("events_not_delivered", **error.why)
    return number


def _exchange(services: Services, last: Sent, deadline: Deadline) -> Sequence[Entry]:
    """Record the result of the last request, and lease the events of the next one, in one transaction."""

    def exchange(connection: Connection) -> Sequence[Entry]:
        _record(connection, last)
        due = [Entry(*row) for row in connection.execute(DUE, {"limit": MAX_ENTRIES})]
        too_large = {entry.event_id: TOO_LARGE for entry in due if entry.size > MAX_BYTES}
        _record(connection, Sent(refused=too_large))
        leased = list(fitting(entry for entry in due if entry.event_id not in too_large))
        ids = json.dumps([entry.event_id for entry in leased])
        connection.execute(LEASE, {"event_ids": ids, "seconds": LEASE_SECONDS})
        return leased

    return transact(services.engine, exchange, deadline)


def fitting(entries: Iterator[Entry]) -> Iterator[Entry]:
    """The first entries that fit in one request together."""
    size = 0
    for entry in entries:
        size += entry.size
        if size > MAX_BYTES:
            return
        yield entry


def _send(services: Services, entries: Sequence[Entry]) -> Sent:
    """Send events with one request. After an error of EventBridge, which is logged, none counts as sent."""
    event_ids = [entry.event_id for entry in entries]
    try:
        refused = services.event_bus.put(entries)
    except EventBusUnavailableError as error:
        logger.warning("events_not_delivered", **error.why)
        return Sent(unsent=event_ids)
    return Sent([event_id for event_id in event_ids if event_id not in refused], refused)


def _record(connection: Connection, sent: Sent) -> None:
    """Record the result of a request, and log the refused events."""
    if sent.accepted:
        connection.execute(DELIVERED, {"event_ids": json.dumps(sent.accepted)})
    if sent.unsent:
        connection.execute(RELEASE, {"event_ids": json.dumps(sent.unsent)})
    if not sent.refused:
        return
    parameters = {
        "refused": json.dumps(sent.refused),
        "too_large": TOO_LARGE,
        "first_pause": FIRST_PAUSE_SECONDS,
        "longest_pause": LONGEST_PAUSE_SECONDS,
        "oldest_retried": OLDEST_RETRIED_SECONDS,
    }
    rows = connection.execute(REFUSED, parameters).all()
    if aside := sum(row.is_aside for row in rows):
        emit({Metric.EVENTS_SET_ASIDE: aside})
    for row in rows:
        log = logger.error if row.is_aside else logger.warning
        log(
            "event_set_aside" if row.is_aside else "event_refused",
            event_id=row.event_id,
            detail_type=row.detail_type,
            task_id=row.task_id,
            error_code=row.error_code,
        )


def count_unsent_events(connection: Connection, counted: int) -> tuple[int, int]:
    """The number of events that wait, at most `counted`, and of those that were set aside."""
    waiting, aside = connection.execute(COUNT_UNSENT, {"counted": counted}).one()
    return waiting, aside
