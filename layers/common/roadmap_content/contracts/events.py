"""Events: the messages about changed attempts, items and tasks. No I/O.

An event's id is derived from the change that it reports, so that a repeated step records it once, and a state
that comes back is reported again.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import quote

from .items import ContentType, Failure, Item

VERSION = "1"
"""The version of the event format. A new optional field does not change it."""

_IDS = uuid.UUID("0a4f0c53-2d7e-5c1e-8c1b-5d1f3c9f6a77")

MAX_NAME = 1_000
"""Maximum characters of a concept's name in an event: the size of an event is limited, that of a name is not.
"""


class DetailType(StrEnum):
    """The types of events."""

    ATTEMPT_QUEUED = "Attempt Queued"
    ATTEMPT_STARTED = "Attempt Started"
    CONCEPT_COMPLETED = "Concept Completed"
    CONCEPT_FAILED = "Concept Failed"
    BATCH_SAVED = "Batch Saved"
    ITEM_SAVED = "Item Saved"
    ITEM_FAILED = "Item Failed"
    ITEM_RESTORED = "Item Restored"
    TASK_FINALIZED = "Task Finalized"
    TASK_CANCELLED = "Task Cancelled"
    AUTOMATIC_ATTEMPTS_EXHAUSTED = "Automatic Attempts Exhausted"
    RECOVERY_ENDED = "Recovery Ended"


class Event(NamedTuple):
    """An event before it is recorded."""

    detail_type: DetailType
    data: Mapping[str, Any]
    identity: tuple[object, ...]
    """The values that distinguish the event from others of its type."""

    @property
    def task_id(self) -> str | None:
        return self.data.get("task_id")

    @property
    def event_id(self) -> str:
        """A stable id: the same event always has the same id."""
        return str(uuid.uuid5(_IDS, json.dumps([self.detail_type, *self.identity])))


class AttemptEvents(NamedTuple):
    """The events of one attempt."""

    task_id: str
    roadmap_id: str | None
    attempt: int

    def _event(self, detail_type: DetailType, *identity: object, **data: object) -> Event:
        """An event; `identity` distinguishes it from others of its type and attempt."""
        return Event(detail_type, self._asdict() | data, (self.task_id, self.attempt, *identity))

    def queued(self, actor: str, cause: str, position: int) -> Event:
        """It has been claimed, and waits for a slot. `position` is its place in the queue, from 1."""
        return self._event(DetailType.ATTEMPT_QUEUED, actor=actor, cause=cause, position=position)

    def started(self, actor: str, cause: str) -> Event:
        """It has been claimed, and its execution is started."""
        return self._event(DetailType.ATTEMPT_STARTED, actor=actor, cause=cause)

    def concept_completed(self, concept_id: str, name: str) -> Event:
        """A concept has all of its content."""
        names = {"concept_id": concept_id, "concept_name": name[:MAX_NAME]}
        return self._event(DetailType.CONCEPT_COMPLETED, concept_id, **names)

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

    def batch_saved(self, batch: int, content_type: str, saved: int, failed: int) -> Event:
        """The items of one content type in a batch have been saved; `failed` of them were not."""
        data = {"batch": batch, "content_type": content_type, "saved": saved, "failed": failed}
        return self._event(DetailType.BATCH_SAVED, batch, content_type, **data)

    def item_saved(self, item: Item) -> Event:
        """An item has a saved row, and can be read."""
        return self._event(DetailType.ITEM_SAVED, *item, **item._asdict())

    def item_failed(self, failure: Failure) -> Event:
        """The attempt could not save an item. Its outcome confirms it: see `concept_failed`."""
        identity = (*failure.item, failure.stage, failure.error_code)
        data = failure.item._asdict() | failure.for_others.why
        return self._event(DetailType.ITEM_FAILED, *identity, **data)

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
        replaced_at: datetime,
    ) -> Event:
        """The outcome has been recorded, or corrected. `generated` are items that were not staged.

        `replaced_at` is the `updated_at` of the row that the outcome replaces: the same outcome may be
        recorded again after another one.
        """
        counts = {str(name): count for name, count in missing.items()}
        identity = (status, sorted(counts.items()), replaced_at.isoformat())
        made = {str(name): count for name, count in generated.items()}
        return self._event(
            DetailType.TASK_FINALIZED, *identity, status=status, missing=counts, generated=made
        )

    def exhausted(self, group: Mapping[str, object]) -> Event:
        """Items are missing, and no automatic attempt will follow: a person is needed. `group` is the task's
        largest failure group. `console` is the task's page, relative to the API's URL.
        """
        page = f"console/#/tasks/{quote(self.task_id, safe='')}"
        return self._event(
            DetailType.AUTOMATIC_ATTEMPTS_EXHAUSTED, group["group_id"], group=group, console=page
        )


def recovery_ended(recovery_id: str, state: str, counts: Mapping[str, int]) -> Event:
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
