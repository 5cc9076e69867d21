"""Events: what is sent when an attempt, an item or a task has changed. No I/O.

An event's id is derived from the change that it reports, so that a repeated step records it once, and a state
that comes back is reported again.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

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
    TASK_FINALIZED = "Task Finalized"
    TASK_CANCELLED = "Task Cancelled"
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


def attempt_queued(task_id: str, roadmap_id: str | None, attempt: int, actor: str, cause: str) -> Event:
    """An attempt has been claimed, and waits for a slot."""
    return _of_attempt(DetailType.ATTEMPT_QUEUED, task_id, roadmap_id, attempt, actor, cause)


def attempt_started(task_id: str, roadmap_id: str | None, attempt: int, actor: str, cause: str) -> Event:
    """An attempt has been claimed, and its execution is started."""
    return _of_attempt(DetailType.ATTEMPT_STARTED, task_id, roadmap_id, attempt, actor, cause)


def _of_attempt(
    detail_type: DetailType, task_id: str, roadmap_id: str | None, attempt: int, actor: str, cause: str
) -> Event:
    data = {
        "task_id": task_id,
        "roadmap_id": roadmap_id,
        "attempt": attempt,
        "actor": actor,
        "cause": cause,
    }
    return Event(detail_type, data, (task_id, attempt))


def concept_completed(
    task_id: str, roadmap_id: str, attempt: int, concept_id: str, concept_name: str
) -> Event:
    """A concept has all of its content."""
    data = {
        "task_id": task_id,
        "roadmap_id": roadmap_id,
        "attempt": attempt,
        "concept_id": concept_id,
        "concept_name": concept_name[:MAX_NAME],
    }
    return Event(DetailType.CONCEPT_COMPLETED, data, (task_id, attempt, concept_id))


def concept_failed(
    task_id: str,
    roadmap_id: str | None,
    attempt: int,
    concept_id: str,
    failures: Sequence[Failure],
    occurred_at: str,
) -> Event:
    """An attempt ended, and a part of a concept's content is missing or was not replaced.

    `occurred_at` is the time of the last failure. Without it, a concept that fails again after a correction
    would not be reported again.
    """
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
    return Event(DetailType.CONCEPT_FAILED, data, (task_id, attempt, concept_id, occurred_at))


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


def item_saved(task_id: str, roadmap_id: str, attempt: int, item: Item) -> Event:
    """An item has a saved row, and can be read."""
    data = {
        "task_id": task_id,
        "roadmap_id": roadmap_id,
        "attempt": attempt,
        "concept_id": item.concept_id,
        "content_type": item.content_type,
    }
    return Event(DetailType.ITEM_SAVED, data, (task_id, attempt, *item))


def item_failed(task_id: str, roadmap_id: str, attempt: int, failure: Failure) -> Event:
    """An attempt could not save an item. The outcome of the attempt confirms it: see `concept_failed`."""
    data = {
        "task_id": task_id,
        "roadmap_id": roadmap_id,
        "attempt": attempt,
        "concept_id": failure.item.concept_id,
        "content_type": failure.item.content_type,
        "stage": failure.stage,
        "error_code": failure.error_code,
        "reason": failure.reason,
    }
    identity = (task_id, attempt, *failure.item, failure.stage, failure.error_code)
    return Event(DetailType.ITEM_FAILED, data, identity)


def task_cancelled(task_id: str, roadmap_id: str | None, attempt: int, actor: str) -> Event:
    """A task was cancelled. A task can be cancelled, retried and cancelled again, so each one is distinct."""
    data = {"task_id": task_id, "roadmap_id": roadmap_id, "attempt": attempt, "actor": actor}
    return Event(DetailType.TASK_CANCELLED, data, (task_id, attempt, str(uuid.uuid4())))


def task_finalized(
    task_id: str,
    roadmap_id: str | None,
    attempt: int,
    status: str,
    missing: Mapping[ContentType, int],
    generated: Mapping[ContentType, int],
    replaced_at: datetime,
) -> Event:
    """The outcome of a task has been recorded, or corrected. `generated` are items that were not staged.

    `replaced_at` is the `updated_at` of the row that the outcome replaces: the same outcome may be recorded
    again after another one.
    """
    counts = {str(name): count for name, count in missing.items()}
    data = {
        "task_id": task_id,
        "roadmap_id": roadmap_id,
        "attempt": attempt,
        "status": status,
        "missing": counts,
        "generated": {str(name): count for name, count in generated.items()},
    }
    identity = (task_id, attempt, status, sorted(counts.items()), replaced_at.isoformat())
    return Event(DetailType.TASK_FINALIZED, data, identity)


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
