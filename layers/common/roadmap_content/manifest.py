"""The manifest: what one attempt plans to do, in one object of S3, of which a batch is a range of bytes.

The state machine's payload is limited to 256 KiB and its history to 25,000 events, so a batch travels as a
reference, and batches grow with the roadmap. A line holds a group of concepts with what each of them misses;
a batch is one content type of one line, so that a concept's description is stored once for all three.
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
"""An iteration takes 12 history events, and 62 where each try of everything fails, in ever new ways; a batch
that is lost is reported in some 500 bytes. So many stay inside both limits whatever happens.
"""


class Manifest(NamedTuple):
    """The object's body, and the references into it."""

    body: bytes
    batches: list[BatchReference]


def planned_batch_size(concepts: int, batch_size: int) -> int:
    """Concepts of a batch: `batch_size`, or more where they would be too many batches."""
    return max(batch_size, ceil(concepts / (MAX_BATCHES // len(ContentType))))


def make_manifest(framework: Framework, missing: Sequence[Item], batch_size: int) -> Manifest:
    """Divide what is missing into batches of at most `planned_batch_size` items."""
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
    """The concepts whose `batch.content_type` the batch is about.

    Raises:
        StorageUnavailableError: S3 did not give the manifest, or only a part of it.
    """
    line = bucket.get(manifest, start=batch.offset, length=batch.length)
    if line is None or len(line.body) != batch.length:
        raise StorageUnavailableError(f"{manifest}: not there, or cut off")
    entries = json.loads(line.body)
    return [concept_from(entry["concept"]) for entry in entries if batch.content_type in entry["missing"]]
