"""The content to save: artefacts for every concept of one roadmap, and the batches of Plan."""

from collections.abc import Iterator
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from local_stack.builds import REPOSITORY
from local_stack.template_file import default_of, read_template
from roadmap_content.content.kind import Row
from roadmap_content.content.manifest import make_manifest
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.content.roadmaps.framework import read_framework
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.contracts.payloads import BatchReference, BatchRequest, Plan
from roadmap_content.platform.storage.bucket import Bucket, StoredObject
from roadmap_content.platform.storage.staging import Staging

from .curriculum import Author, concept_ids

ROADMAP = "benchmarked-9b2c8d4e"
TASK = "benchmark"

_TEMPLATE = read_template(REPOSITORY / "template.yaml")
BATCH_SIZE = int(default_of(_TEMPLATE, "BatchSize"))
"""Items per batch, as in the template."""

PLAN_SETTINGS = {
    "BATCH_SIZE": str(BATCH_SIZE),
    "MAX_CONCURRENCY": str(default_of(_TEMPLATE, "MaxConcurrency")),
}
"""The settings that Plan needs."""


class MemoryBucket(Bucket):
    """An in-memory bucket, so that S3 is not measured."""

    def __init__(self) -> None:
        super().__init__("memory")
        self._objects: dict[str, bytes] = {}

    def get(
        self,
        key: str,
        *,
        part: range | None = None,
        limit: int | None = None,  # noqa: ARG002 - as Bucket's
    ) -> StoredObject | None:
        """Read an object, or a part of it."""
        body = self._objects.get(key)
        if body is None:
            return None
        return StoredObject(body if part is None else body[part.start : part.stop], {})

    def put(self, key: str, body: bytes, metadata: object = None) -> None:  # noqa: ARG002 - as Bucket's
        """Store an object."""
        self._objects[key] = body

    def put_text(self, key: str, text: str) -> None:
        """Store a text."""
        self._objects[key] = text.encode()


class Entry(NamedTuple):
    """One concept and its three artefacts, by content type."""

    concept_id: str
    content: dict[ContentType, Document]


class Stock:
    """The content of a roadmap of `size` concepts, staged in a separate bucket."""

    def __init__(self, size: int, author: Author, *, markdown: int = 200) -> None:
        self.size = size
        self.entries: list[Entry] = []
        for number, concept_id in enumerate(concept_ids(ROADMAP, size)):
            written = author.entry(concept_id, number, markdown)
            self.entries.append(Entry(concept_id, {kind: written[kind] for kind in ContentType}))

    @cached_property
    def bucket(self) -> MemoryBucket:
        """The bucket with everything staged."""
        bucket = MemoryBucket()
        staging = Staging(bucket, ROADMAP)
        for entry in self.entries:
            for content_type, content in entry.content.items():
                staging.write(Item(entry.concept_id, content_type), content)
        return bucket

    def requests(self, batch_size: int) -> list[BatchRequest]:
        """The requests to `save_batch`. The manifest is in the bucket."""
        concepts = [{"concept_id": entry.concept_id, "name": "A concept"} for entry in self.entries]
        framework = read_framework(
            {"stages": [{"name": "S", "modules": [{"name": "M", "concepts": concepts}]}]}
        )
        missing = [Item(entry.concept_id, kind) for entry in self.entries for kind in ContentType]
        manifest = make_manifest(framework, missing, set(missing), batch_size)
        self.bucket.put(f"manifests/{batch_size}", manifest.body)
        plan = Plan(
            task_id=TASK,
            roadmap_id=ROADMAP,
            attempt=1,
            claimed_at=datetime(2026, 1, 1),  # noqa: DTZ001 - timestamps of this system have no zone
            manifest=f"manifests/{batch_size}",
            planned=dict.fromkeys(ContentType, self.size),
        )
        return [_request(plan, batch) for batch in manifest.batches]

    def rows(self) -> Iterator[tuple[ContentType, list[Row]]]:
        """The rows of each table, validated, with encoded documents."""
        for content_type in CONTENT_KINDS:
            yield content_type, [self._row(content_type, entry) for entry in self.entries]

    def _row(self, content_type: ContentType, entry: Entry) -> Row:
        kind, content = CONTENT_KINDS[content_type], entry.content[content_type]
        row = kind.to_row(ROADMAP, entry.concept_id, content)
        if (text := kind.stored_text) is not None:
            self.bucket.put_text(row[text.key_column], content[text.field])
        return row


def _request(plan: Plan, batch: BatchReference) -> BatchRequest:
    return BatchRequest(plan=plan, batch=batch, execution_arn="arn:benchmark")
