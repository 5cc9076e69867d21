"""The manifest: the plan of one attempt, stored as one S3 object.

The state machine's payload is limited to 256 KiB and its history to 25,000 events. Therefore a batch is
passed as a reference (a byte range of the manifest), and batches grow with the roadmap. Each line of the
manifest lists a group of concepts and the missing content types of each. A batch is one content type of one
line, so that a concept's description is stored once for all three content types.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain
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


STAGED_FACTOR = 10
"""Items of a batch that is only saved, per item of a batch that is generated: saving takes milliseconds,
generating takes seconds.
"""


class Manifest(NamedTuple):
    """The object's body and its batches."""

    body: bytes
    batches: list[BatchReference]


class BatchSizes(NamedTuple):
    """Maximum items of a batch, for staged items and for items to generate."""

    generate: int
    save: int


def planned_batch_sizes(to_generate: int, to_save: int, batch_size: int) -> BatchSizes:
    """Choose the batch sizes for a number of concepts: larger than `batch_size` if necessary for
    `MAX_BATCHES`.

    Each of the two groups may end in a batch that is not full, for each content type.
    """
    full_batches = MAX_BATCHES // len(ContentType) - 2
    size = max(batch_size, ceil((to_generate + to_save / STAGED_FACTOR) / full_batches))
    return BatchSizes(size, size * STAGED_FACTOR)


def make_manifest(
    framework: Framework,
    items: Sequence[Item],
    staged: AbstractSet[Item],
    batch_size: int,
    replaces: Mapping[Item, str] | None = None,
) -> Manifest:
    """Divide items into batches: small ones of items to generate, large ones of staged items.

    `replaces` has the id of the row that a saved item replaces.
    """
    to_generate, to_save = _by_concept(items, staged)
    sizes = planned_batch_sizes(len(to_generate), len(to_save), batch_size)

    lines: list[bytes] = []
    offset = 0
    batches: list[BatchReference] = []
    for group, is_staged in [
        *((group, False) for group in _groups(to_generate, sizes.generate)),
        *((group, True) for group in _groups(to_save, sizes.save)),
    ]:
        line = [
            {"concept": framework.description(concept_id), "missing": content_types}
            | (_replaced(concept_id, content_types, replaces) if replaces else {})
            for concept_id, content_types in group
        ]
        counts = Counter(chain.from_iterable(content_types for _, content_types in group))
        encoded = _encode(line).encode() + b"\n"
        for content_type in ContentType:
            if count := counts[content_type]:
                batches.append(
                    BatchReference(
                        number=len(batches),
                        content_type=content_type,
                        offset=offset,
                        length=len(encoded),
                        items=count,
                        staged=is_staged,
                    )
                )
        lines.append(encoded)
        offset += len(encoded)
    return Manifest(b"".join(lines), batches)


# Decoded JSON has no cycles, and the check for them takes a sixth of the time.
_encode = json.JSONEncoder(check_circular=False).encode


_ByConcept = dict[str, list[ContentType]]


def _replaced(
    concept_id: str, content_types: Sequence[ContentType], replaces: Mapping[Item, str]
) -> dict[str, dict[ContentType, str]]:
    """The part of a manifest's entry that names the rows to replace; empty if there is none."""
    ids = {
        content_type: replaces[item]
        for content_type in content_types
        if (item := Item(concept_id, content_type)) in replaces
    }
    return {"replaces": ids} if ids else {}


def _by_concept(items: Sequence[Item], staged: AbstractSet[Item]) -> tuple[_ByConcept, _ByConcept]:
    """The content types to generate, and those that are staged, of each concept that has some."""
    to_generate: _ByConcept = defaultdict(list)
    to_save: _ByConcept = defaultdict(list)
    for item in items:
        by_concept = to_save if staged and item in staged else to_generate
        by_concept[item[0]].append(item[1])
    return to_generate, to_save


def _groups(
    by_concept: Mapping[str, list[ContentType]], size: int
) -> Iterator[list[tuple[str, list[ContentType]]]]:
    entries = list(by_concept.items())
    for start in range(0, len(entries), size):
        yield entries[start : start + size]


class Batch(NamedTuple):
    """The items of a batch, all of one content type."""

    concepts: list[Concept]
    replaces: Mapping[Item, str]
    """The ids of the rows that items of the batch replace."""


def read_batch(bucket: Bucket, manifest: str, batch: BatchReference) -> Batch:
    """Read the items of a batch.

    Raises:
        StorageUnavailableError: the manifest could not be read, or only a part of it.
    """
    line = bucket.get(manifest, start=batch.offset, length=batch.length)
    if line is None or len(line.body) != batch.length:
        raise StorageUnavailableError(f"{manifest}: not found or truncated")
    entries = [entry for entry in json.loads(line.body) if batch.content_type in entry["missing"]]
    replaces = {
        Item(entry["concept"]["concept_id"], batch.content_type): entry["replaces"][batch.content_type]
        for entry in entries
        if batch.content_type in entry.get("replaces", ())
    }
    return Batch([concept_from(entry["concept"]) for entry in entries], replaces)
