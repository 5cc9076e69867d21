"""Staged content: what was generated lies in S3 before it is saved, so it is never lost nor paid for twice.

An object carries, as metadata, the task and the attempt that is the first to see it. A failure of an
earlier attempt was about what lay there before, so it says nothing about this object. What the product or
somebody's hand has staged carries nothing until the first attempt has noted that it sees it.
"""

import json
from collections.abc import Mapping
from typing import NamedTuple

from .bucket import Bucket
from .content import Document
from .items import Failure, Item
from .keys import encode, rejected_key, staged_key


class StagedFor(NamedTuple):
    """The task and the attempt that first sees a staged object; nobody's as long as none has seen it."""

    task: str
    attempt: int

    @property
    def is_unseen(self) -> bool:
        """Whether no attempt had it before it."""
        return not self.task

    def concerns(self, task_id: str, failed_attempt: int) -> bool:
        """Whether an attempt of a task that failed to save the item had this object before it."""
        if self.is_unseen:
            return False
        return self.task != encode(task_id) or self.attempt <= failed_attempt


class Staging:
    """The staged content of one roadmap."""

    def __init__(self, bucket: Bucket, roadmap_id: str) -> None:
        self._bucket = bucket
        self._roadmap_id = roadmap_id

    def find(self, item: Item) -> StagedFor | None:
        """Whom an item is staged for; `None` if it is not staged."""
        metadata = self._bucket.metadata(staged_key(self._roadmap_id, item))
        return None if metadata is None else _staged_for(metadata)

    def read(self, item: Item) -> bytes | None:
        """The staged content of an item as it lies there, which may not be valid; `None` if not staged."""
        stored = self._bucket.get(staged_key(self._roadmap_id, item))
        return None if stored is None else stored.body

    def write(self, item: Item, content: Document, task_id: str, attempt: int) -> None:
        """Stage an item for an attempt of a task, over what is staged."""
        self._bucket.put(
            staged_key(self._roadmap_id, item),
            json.dumps(content).encode(),
            _seen_by(task_id, attempt),
        )

    def note_seen(self, item: Item, task_id: str, attempt: int) -> None:
        """Note on a staged item that an attempt of a task is the first to see it."""
        key = staged_key(self._roadmap_id, item)
        stored = self._bucket.get(key)
        if stored is not None:
            self._bucket.note(key, stored, _seen_by(task_id, attempt))

    def reject(self, item: Item, failure: Failure, failed_attempt: int) -> None:
        """Take a staged item out of the way, and keep it with the reason why it could not be saved."""
        staged = staged_key(self._roadmap_id, item)
        body = self._bucket.get(staged)
        if body is None:
            return
        self._bucket.put(
            rejected_key(self._roadmap_id, item, failed_attempt, body.body),
            body.body,
            {"error-code": encode(failure.error_code), "reason": encode(failure.reason)},
        )
        self._bucket.delete(staged)


def _seen_by(task_id: str, attempt: int) -> dict[str, str]:
    return {"task": encode(task_id), "attempt": str(attempt)}


def _staged_for(metadata: Mapping[str, str]) -> StagedFor:
    attempt = metadata.get("attempt", "")
    return StagedFor(metadata.get("task", ""), int(attempt) if attempt.isdecimal() else 0)
