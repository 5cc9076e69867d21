"""Staged content: what was generated lies in S3 before it is saved, so it is never lost nor paid for twice.

An object carries, as metadata, the task and the attempt that is the first to see it. A failure of an
earlier attempt was about what lay there before, so it says nothing about this object.
"""

import json
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .bucket import Bucket
from .content import Document
from .items import Failure, Item
from .keys import encode, rejected_key, staged_key, staged_prefix


class StagedFor(NamedTuple):
    """The task and the attempt that first sees a staged object; nobody's where the product staged it."""

    task: str
    attempt: int

    def concerns(self, task_id: str, failed_attempt: int) -> bool:
        """Whether an attempt of a task that failed to save the item had this object before it."""
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

    def listed(self, items: Iterable[Item]) -> frozenset[Item]:
        """Of items of one content type, those that one page of the listing shows to be staged.

        The page begins with the first of them: for one request it tells of a thousand keys. An item that it
        does not show may be staged all the same.
        """
        by_key = {staged_key(self._roadmap_id, item): item for item in items}
        first = min(by_key)
        prefix = staged_prefix(self._roadmap_id, by_key[first].content_type)
        keys = self._bucket.keys(prefix, after=first[:-1])
        return frozenset(by_key[key] for key in keys if key in by_key)

    def read(self, item: Item) -> bytes | None:
        """The staged content of an item as it lies there, which may not be valid; `None` if not staged."""
        stored = self._bucket.get(staged_key(self._roadmap_id, item))
        return None if stored is None else stored.body

    def write(self, item: Item, content: Document, task_id: str, attempt: int) -> None:
        """Stage an item for an attempt of a task, over what is staged."""
        self._bucket.put(
            staged_key(self._roadmap_id, item),
            json.dumps(content).encode(),
            {"task": encode(task_id), "attempt": str(attempt)},
        )

    def reject(self, item: Item, failure: Failure, failed_attempt: int) -> None:
        """Take a staged item out of the way, and keep it with the reason why it could not be saved."""
        staged = staged_key(self._roadmap_id, item)
        body = self._bucket.get(staged)
        if body is None:
            return
        self._bucket.put(
            rejected_key(self._roadmap_id, item, failed_attempt),
            body.body,
            {"error-code": encode(failure.error_code), "reason": encode(failure.reason)},
        )
        self._bucket.delete(staged)


def _staged_for(metadata: Mapping[str, str]) -> StagedFor:
    attempt = metadata.get("attempt", "")
    return StagedFor(metadata.get("task", ""), int(attempt) if attempt.isdecimal() else 0)
