"""Events: the messages about changed attempts, items and tasks. No I/O.

An event's id is derived from the change that it reports, so that a repeated step records it once, and a state
that comes back is reported again.
"""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import quote

from .api.turn import Turn
from .items import ContentType, Failure, Item

VERSION = "1"
"""The version of the event format. A new optional field does not change it."""

_IDS = uuid.UUID("0a4f0c53-2d7e-5c1e-8c1b-5d1f3c9f6a77")

MAX_NAME = 1_000
"""Maximum characters of a concept's name in an event: the size of an event is limited, that of a name is not.
"""

MAX_BATCH_BYTES = 240 * 1024
"""Maximum size of the event of a batch. PutEvents takes 256 KiB, as do targets such as SQS, for which
EventBridge adds its envelope.
"""


class DetailType(StrEnum):
    """The types of events."""

    ATTEMPT_QUEUED = "Attempt Queued"
    ATTEMPT_STARTED = "Attempt Started"
    BATCH_SAVED = "Batch Saved"
    CONCEPT_FAILED = "Concept Failed"
    ITEM_RESTORED = "Item Restored"
    TASK_FINALIZED = "Task Finalized"
    TASK_CANCELLED = "Task Cancelled"
    AUTOMATIC_ATTEMPTS_EXHAUSTED = "Automatic Attempts Exhausted"
    RECOVERY_ENDED = "Recovery Ended"


class PartType(StrEnum):
    """The types of changes that the event of a batch reports together."""

    ITEM_SAVED = "Item Saved"
    ITEM_FAILED = "Item Failed"
    CONCEPT_COMPLETED = "Concept Completed"


_LISTS = "saved_items", "failed_items", "completed_concepts"
"""The fields with the parts of a batch, for each `PartType` in its order."""


class Part(NamedTuple):
    """A change that the event of a batch reports together with others."""

    type: PartType
    data: Mapping[str, str]
    """The concept, and the other fields that differ within the event."""

    @classmethod
    def saved(cls, item: Item) -> "Part":
        """An item has a saved row, and can be read."""
        return cls(PartType.ITEM_SAVED, {"concept_id": item.concept_id})

    @classmethod
    def failed(cls, failure: Failure) -> "Part":
        """The attempt could not save an item. Its outcome confirms it: see `concept_failed`."""
        return cls(PartType.ITEM_FAILED, {"concept_id": failure.item.concept_id} | failure.for_others.why)

    @classmethod
    def completed(cls, concept_id: str, name: str) -> "Part":
        """A concept has all of its content."""
        data = {"concept_id": concept_id, "concept_name": name[:MAX_NAME]}
        return cls(PartType.CONCEPT_COMPLETED, data)


class Change(NamedTuple):
    """A change of a task, as a reader of its feed sees it."""

    id: str
    """Stable: the event's, and of a part of a batch also its place."""

    type: str
    data: Mapping[str, Any]


class Event(NamedTuple):
    """An event before it is recorded."""

    detail_type: DetailType
    data: Mapping[str, Any]
    event_id: str
    """A stable id: the same event always has the same id."""

    @classmethod
    def of(cls, detail_type: DetailType, data: Mapping[str, Any], *identity: object) -> "Event":
        """An event; `identity` distinguishes it from others of its type."""
        return cls(detail_type, data, str(uuid.uuid5(_IDS, json.dumps([detail_type, *identity]))))

    @property
    def task_id(self) -> str | None:
        return self.data.get("task_id")


SUBJECT = "task_id", "roadmap_id", "attempt"
"""The fields of an event of an attempt that name it."""


class AttemptEvents(NamedTuple):
    """The events of one attempt."""

    task_id: str
    roadmap_id: str | None
    attempt: int
    execution_arn: str | None
    """Not in the event: its id differs from that of the same attempt in another life of the task."""

    def _event(self, detail_type: DetailType, *identity: object, **data: object) -> Event:
        """An event; `identity` distinguishes it from others of its type and attempt."""
        subject = {"task_id": self.task_id, "roadmap_id": self.roadmap_id, "attempt": self.attempt}
        identity = self.task_id, self.attempt, self.execution_arn, *identity
        return Event.of(detail_type, subject | data, *identity)

    def queued(self, actor: str, cause: str, position: int) -> Event:
        """It has been claimed, and waits for a slot. `position` is its place in the queue, from 1."""
        return self._event(DetailType.ATTEMPT_QUEUED, actor=actor, cause=cause, position=position)

    def started(self, actor: str, cause: str) -> Event:
        """It has been claimed, and its execution is started."""
        return self._event(DetailType.ATTEMPT_STARTED, actor=actor, cause=cause)

    def concept_failed(self, concept_id: str, failures: Sequence[Failure], occurred_at: str) -> Event:
        """The attempt ended, and a part of a concept's content is missing or was not replaced.

        `occurred_at` is the time of the last failure. Without it, a concept that fails again after a
        correction would not be reported again.
        """
        identity = (concept_id, occurred_at)
        items = [
            {"content_type": failure.item.content_type, **failure.for_others.why} for failure in failures
        ]
        return self._event(DetailType.CONCEPT_FAILED, *identity, concept_id=concept_id, items=items)

    def batch_saved(self, batch: int, content_type: str, parts: Sequence[Part]) -> Sequence[Event]:
        """The results of a transaction for the items of one content type in a batch, and, once for all
        content types, the concepts that it has completed: one event, or several of at most `MAX_BATCH_BYTES`.

        A batch may take several transactions, and one that is repeated may save more: the parts identify the
        event.
        """
        by_type: dict[PartType, list[Mapping[str, str]]] = {kind: [] for kind in PartType}
        for part in parts:
            by_type[part.type].append(part.data)
        saved, failed = by_type[PartType.ITEM_SAVED], by_type[PartType.ITEM_FAILED]
        event = self._event(
            DetailType.BATCH_SAVED,
            *(batch, content_type, *parts),
            batch=batch,
            content_type=content_type,
            saved=len(saved),
            failed=len(failed),
            saved_items=[part["concept_id"] for part in saved],
            failed_items=failed,
            completed_concepts=by_type[PartType.CONCEPT_COMPLETED],
        )
        size = entry_size(event.detail_type, json.dumps(detail_of(event, _ANY_TIME)))
        if size <= MAX_BATCH_BYTES or len(parts) == 1:
            return [event]
        middle = len(parts) // 2
        return [
            *self.batch_saved(batch, content_type, parts[:middle]),
            *self.batch_saved(batch, content_type, parts[middle:]),
        ]

    def item_restored(self, item: Item, revision: str, restored_from: str, actor: str) -> Event:
        """An earlier content of an item is the current one again, as a new revision."""
        data = {"revision": revision, "restored_from": restored_from, "actor": actor}
        return self._event(DetailType.ITEM_RESTORED, *item, revision, **item._asdict(), **data)

    def cancelled(self, actor: str) -> Event:
        """The task was cancelled. It can be retried and cancelled again, so each one is distinct."""
        return self._event(DetailType.TASK_CANCELLED, str(uuid.uuid4()), actor=actor)

    def finalized(
        self,
        status: str,
        missing: Mapping[ContentType, int],
        generated: Mapping[ContentType, int],
        turn: Turn,
        replaced_at: datetime,
    ) -> Event:
        """The outcome has been recorded, or corrected. `generated` are items that were not staged; `turn`
        names the next one to act.

        `replaced_at` is the `updated_at` of the row that the outcome replaces: the same outcome may be
        recorded again after another one.
        """
        counts = {str(name): count for name, count in missing.items()}
        identity = (status, sorted(counts.items()), replaced_at.isoformat())
        made = {str(name): count for name, count in generated.items()}
        return self._event(
            DetailType.TASK_FINALIZED,
            *identity,
            status=status,
            missing=counts,
            generated=made,
            turn=turn.model_dump(mode="json"),
        )

    def exhausted(self, group: Mapping[str, object]) -> Event:
        """Items are missing, and no automatic attempt will follow: a person is needed. `group` is the task's
        largest failure group. `console` is the task's page, relative to the API's URL.
        """
        page = f"console/#/tasks/{quote(self.task_id, safe='')}"
        return self._event(
            DetailType.AUTOMATIC_ATTEMPTS_EXHAUSTED, group["group_id"], group=group, console=page
        )


def number_of_changes(data: Mapping[str, Any]) -> int:
    """The number of changes that `changes_of` returns for an event with this data."""
    return 1 + sum(len(data.get(name, ())) for name in _LISTS)


def changes_of(event_id: str, detail_type: str, data: Mapping[str, Any]) -> Iterator[Change]:
    """The changes that an event reports, in order: the parts of a batch, and then the event itself without
    them. The order never changes, because readers continue inside an event.
    """
    attempt = {name: data[name] for name in SUBJECT if name in data}
    of_type = attempt | {"content_type": data.get("content_type")}
    parts = [
        *((PartType.ITEM_SAVED, of_type | {"concept_id": saved}) for saved in data.get("saved_items", ())),
        *((PartType.ITEM_FAILED, of_type | failed) for failed in data.get("failed_items", ())),
        *((PartType.CONCEPT_COMPLETED, attempt | named) for named in data.get("completed_concepts", ())),
    ]
    for place, (kind, of_part) in enumerate(parts):
        yield Change(f"{event_id}-{place}", kind, of_part)
    yield Change(event_id, detail_type, {name: data[name] for name in data if name not in _LISTS})


SOURCE = "app.roadmap.content"
"""The `source` of every event."""


def entry_size(detail_type: str, detail: str) -> int:
    """The bytes of an event's entry that count towards the limit of a PutEvents request."""
    return len(f"{SOURCE}{detail_type}{detail}".encode())


_ANY_TIME = datetime.max.replace(tzinfo=UTC)


def detail_of(event: Event, time: datetime) -> dict[str, Any]:
    """The `detail` of an event as it is sent. Its size is the same for any time."""
    return {
        "metadata": {
            "id": event.event_id,
            "version": VERSION,
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "correlation_id": event.task_id or event.data["recovery_id"],
        },
        "data": dict(event.data),
    }
