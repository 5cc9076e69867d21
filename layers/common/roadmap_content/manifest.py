"""The manifest: the plan of one attempt, stored as one S3 object.

The state machine's payload is limited to 256 KiB and its history to 25,000 events. Therefore a batch is
passed as a reference (a byte range of the manifest), and batches grow with the roadmap. Each line of the
manifest lists a group of concepts and the missing content types of each. A batch is one content type of one
line, so that a concept's description is stored once for all three content types.
"""

import json
from collections.abc import Sequence
from math import ceil
from typing import NamedTuple

from .contracts import BatchReference
from .errors import StorageUnavailableError
from .items import ContentType, Item
from .roadmaps.framework import Concept, Framework, concept_from
from .storage.bucket import Bucket

MAX_BATCHES = 390
"""Maximum batches of one attempt. A Map iteration takes 12 history events, or 62 if every retry of every Task
is used up; a lost batch adds about 500 bytes to the payload. With this number both limits hold in all cases.
"""


class Manifest(NamedTuple):
    """The object's body and its batches."""

    body: bytes
    batches: list[BatchReference]


def planned_batch_size(concepts: int, batch_size: int) -> int:
    """Concepts per batch: `batch_size`, or more if that would exceed `MAX_BATCHES`."""
    return max(batch_size, ceil(concepts / (MAX_BATCHES // len(ContentType))))


def make_manifest(framework: Framework, missing: Sequence[Item], batch_size: int) -> Manifest:
    """Divide the missing items into batches of at most `planned_batch_size` items."""
    wanted: dict[str, list[ContentType]] = {}
    for item in missing:
        wanted.setdefault(item.concept_id, []).append(item.content_type)
    concepts = list(wanted)
    size = planned_batch_size(len(concepts), batch_size)

    body = bytearray()
    batches: list[BatchReference] = []
    for start in range(0, len(concepts), size):
        group = concepts[start : start + size]
        line = [
            {"concept": framework.concept(concept_id)._asdict(), "missing": wanted[concept_id]}
            for concept_id in group
        ]
        encoded = json.dumps(line).encode() + b"\n"
        for content_type in ContentType:
            if items := sum(content_type in wanted[concept_id] for concept_id in group):
                batches.append(
                    BatchReference(
                        number=len(batches),
                        content_type=content_type,
                        offset=len(body),
                        length=len(encoded),
                        items=items,
                    )
                )
        body += encoded
    return Manifest(bytes(body), batches)


def read_batch(bucket: Bucket, manifest: str, batch: BatchReference) -> list[Concept]:
    """Read the concepts of a batch.

    Raises:
        StorageUnavailableError: the manifest could not be read, or only a part of it.
    """
    line = bucket.get(manifest, start=batch.offset, length=batch.length)
    if line is None or len(line.body) != batch.length:
        raise StorageUnavailableError(f"{manifest}: not found or truncated")
    entries = json.loads(line.body)
    return [concept_from(entry["concept"]) for entry in entries if batch.content_type in entry["missing"]]
