"""The manifest: the plan of one attempt, stored as one S3 object.

The state machine's payload is limited to 256 KiB and its history to 25,000 events. Therefore a batch is
passed as a reference (a byte range of the manifest), and batches grow with the roadmap. Each line of the
manifest is a batch: its concepts in the framework's order, with all their missing content types, so that the
first lessons are complete first.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import chain, islice
from math import ceil
from typing import NamedTuple

from ..contracts.errors import StorageUnavailableError
from ..contracts.items import ContentType, Item
from ..contracts.payloads import BatchReference
from ..platform.storage.bucket import Bucket
from .kind import encode
from .registry import CONTENT_KINDS
from .roadmaps.framework import Concept, Framework, concept_from

MAX_BATCHES = 200
"""Maximum batches of one attempt. A Map iteration takes 12 history events, or 62 if every retry of every Task
is used up, and 3 for each throttled call; a lost batch adds about 500 bytes to the payload. With this number
both limits hold, also if each batch is throttled until it has waited for 270 s.
"""


STAGED_FACTOR = 10
"""Concepts of a saved batch per concept of a generated one: saving takes milliseconds, generating seconds."""


SLOWEST_FIRST = sorted(ContentType, key=lambda content_type: -CONTENT_KINDS[content_type].output_share)
"""The content types by the time that a generator needs for them, which is that of their length."""


GROUP = 10
"""Concepts of a batch that are generated together: their slow items fit into the threads of an invocation.
A larger batch is generated one group after another, so that its first concepts are complete first.
"""


class Manifest(NamedTuple):
    body: bytes
    batches: list[BatchReference]


def planned_batch_size(to_generate: int, to_save: int, batch_size: int) -> int:
    """The concepts of a batch to generate, for a number of concepts; a saved batch has `STAGED_FACTOR` times
    as many. Larger than `batch_size` if necessary for `MAX_BATCHES`: each of the two groups may end in a
    batch that is not full.
    """
    return max(batch_size, ceil((to_generate + to_save / STAGED_FACTOR) / (MAX_BATCHES - 2)))


def make_manifest(
    framework: Framework,
    items: Sequence[Item],
    staged: AbstractSet[Item],
    batch_size: int,
    replaces: Mapping[Item, str] | None = None,
) -> Manifest:
    """Divide items into batches: small ones of items to generate, large ones of staged items. `replaces` has
    the revision of each saved item that is replaced.
    """
    to_generate, to_save = _by_concept(items, staged)
    size = planned_batch_size(len(to_generate), len(to_save), batch_size)
    replaced: dict[str, dict[ContentType, str]] = defaultdict(dict)
    for item, revision in (replaces or {}).items():
        replaced[item.concept_id][item.content_type] = revision

    body = bytearray()
    batches: list[BatchReference] = []
    for group, is_staged in [
        *((group, False) for group in _groups(to_generate, size)),
        *((group, True) for group in _groups(to_save, size * STAGED_FACTOR)),
    ]:
        line = [
            {"concept": framework.description(concept_id), "missing": content_types}
            | ({"replaces": replaced[concept_id]} if concept_id in replaced else {})
            for concept_id, content_types in group
        ]
        encoded = encode(line).encode() + b"\n"
        batches.append(
            BatchReference(
                number=len(batches),
                offset=len(body),
                length=len(encoded),
                items=dict(Counter(chain.from_iterable(content_types for _, content_types in group))),
                staged=is_staged,
            )
        )
        body += encoded
    return Manifest(bytes(body), batches)


_ByConcept = dict[str, list[ContentType]]


def _by_concept(items: Sequence[Item], staged: AbstractSet[Item]) -> tuple[_ByConcept, _ByConcept]:
    """The content types of the items to generate, and of the staged ones, by concept."""
    to_generate: _ByConcept = defaultdict(list)
    to_save: _ByConcept = defaultdict(list)
    for item in items:
        by_concept = to_save if item in staged else to_generate
        by_concept[item.concept_id].append(item.content_type)
    return to_generate, to_save


def _groups(
    by_concept: Mapping[str, list[ContentType]], size: int
) -> Iterator[list[tuple[str, list[ContentType]]]]:
    """The concepts with their content types, in groups of at most `size`."""
    entries = iter(by_concept.items())
    while group := list(islice(entries, size)):
        yield group


class Batch(NamedTuple):
    concepts: Mapping[Item, Concept]
    """The concept of each item, in the order of generation."""

    replaces: Mapping[Item, str]
    """The revisions that items of the batch replace."""


def read_batch(bucket: Bucket, manifest: str, batch: BatchReference) -> Batch:
    """Read a batch's items. Raises StorageUnavailableError: the manifest could not be read completely."""
    line = bucket.get(manifest, part=range(batch.offset, batch.offset + batch.length))
    if line is None or len(line.body) != batch.length:
        raise StorageUnavailableError(f"{manifest}: not found or truncated")
    concepts: dict[Item, Concept] = {}
    replaces: dict[Item, str] = {}
    for entry in json.loads(line.body):
        concept = concept_from(entry["concept"])
        for content_type in map(ContentType, entry["missing"]):
            item = Item(concept.concept_id, content_type)
            concepts[item] = concept
            if content_type in entry.get("replaces", ()):
                replaces[item] = entry["replaces"][content_type]
    return Batch({item: concepts[item] for item in generation_order(list(concepts))}, replaces)


def generation_order(items: Sequence[Item]) -> list[Item]:
    """The order in which a batch's items are generated: in each group of concepts, first the whole first
    concept, then the slowest content type. A slow item that starts late would prolong the invocation.
    """
    concept_ids = dict.fromkeys(item.concept_id for item in items)
    position = {concept_id: number for number, concept_id in enumerate(concept_ids)}

    def rank(item: Item) -> tuple[int, bool, int]:
        group, place = divmod(position[item.concept_id], GROUP)
        return group, place > 0, SLOWEST_FIRST.index(item.content_type)

    return sorted(items, key=rank)
