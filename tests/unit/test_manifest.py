"""The manifest contains every missing item once, and its size stays inside the limits of Step Functions."""

import json
from collections import Counter
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadmap_content.content.manifest import (
    MAX_BATCHES,
    SLOWEST_FIRST,
    STAGED_FACTOR,
    Manifest,
    make_manifest,
    read_batch,
)
from roadmap_content.content.product import PRODUCT_TYPES
from roadmap_content.content.roadmaps.framework import read_framework
from roadmap_content.contracts.errors import StorageUnavailableError
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.contracts.payloads import BatchReference
from roadmap_content.platform.storage.bucket import StoredObject
from tests.support.factories import TYPES, concept_ids, framework_of


class OneObject:
    """A bucket with one manifest."""

    def __init__(self, body: bytes) -> None:
        self.body = body

    def get(self, key: str, *, part: range) -> StoredObject | None:
        return StoredObject(self.body[part.start : part.stop], {})


def items_of(manifest: Manifest, batch: BatchReference) -> list[Item]:
    return list(read_batch(OneObject(manifest.body), "m", batch).concepts)  # type: ignore[arg-type]


PLACES = st.sets(st.tuples(st.integers(0, 39), st.sampled_from(ContentType)))


@given(PLACES, PLACES, st.integers(1, 4))
def test_every_missing_item_is_in_exactly_one_batch(
    missing: set[tuple[int, ContentType]], staged: set[tuple[int, ContentType]], size: int
) -> None:
    ids = concept_ids(40)
    framework = read_framework(framework_of(ids))
    items = [item for item in framework.items() if (ids.index(item.concept_id), item.content_type) in missing]
    there = {Item(ids[number], content_type) for number, content_type in staged}
    manifest = make_manifest(framework, items, there, size)
    planned = [items_of(manifest, batch) for batch in manifest.batches]
    assert sorted(item for batch in planned for item in batch) == sorted(items)
    assert [Counter(item.content_type for item in batch) for batch in planned] == [
        reference.items for reference in manifest.batches
    ]
    for reference, batch in zip(manifest.batches, planned, strict=True):
        concepts = len({item.concept_id for item in batch})
        assert 1 <= concepts <= (size * STAGED_FACTOR if reference.staged else size)
        assert {item in there for item in batch} == {reference.staged}
    assert [batch.number for batch in manifest.batches] == list(range(len(manifest.batches)))


def test_the_manifest_contains_the_description_of_a_concept() -> None:
    framework = read_framework(framework_of(["a"]))
    manifest = make_manifest(framework, list(framework.items()), frozenset(), 10)
    concepts = read_batch(OneObject(manifest.body), "m", manifest.batches[0]).concepts  # type: ignore[arg-type]
    assert concepts == {item: framework.concept("a") for item in framework.items()}


def manifest_of(concepts: int, batch_size: int) -> Manifest:
    """The manifest of a roadmap without content."""
    framework = read_framework(framework_of(concept_ids(concepts)))
    return make_manifest(framework, list(framework.items()), frozenset(), batch_size)


def test_the_first_concept_is_complete_before_the_last_begins() -> None:
    ids = concept_ids(30)
    manifest = manifest_of(30, 10)
    first, *_, last = (items_of(manifest, batch) for batch in manifest.batches)
    assert [item.concept_id for item in first[:3]] == [ids[0]] * 3
    assert {item.concept_id for item in first} == set(ids[:10])
    assert {item.concept_id for item in last} == set(ids[20:])
    (together,) = (items_of(manifest_of(30, 30), batch) for batch in manifest_of(30, 30).batches)
    assert len(together) == 30 * TYPES
    begun = [item.concept_id for item in together]
    assert begun.index(ids[-1]) > max(i for i, concept_id in enumerate(begun) if concept_id in ids[:10])


def test_the_slowest_items_are_generated_first_after_the_first_concept() -> None:
    (batch,) = manifest_of(10, 10).batches
    order = [item.content_type for item in items_of(manifest_of(10, 10), batch)]
    assert set(SLOWEST_FIRST) == set(ContentType)
    of_the_product = [each for each in SLOWEST_FIRST if each in PRODUCT_TYPES]
    assert of_the_product == [ContentType.TUTORIAL, ContentType.QUIZ, ContentType.RESOURCES]
    assert order == [*SLOWEST_FIRST, *(each for each in SLOWEST_FIRST for _ in range(9))]


@pytest.mark.parametrize(
    ("concepts", "share"),
    [*product([1, 24, 1_000], [0, 2, 1]), pytest.param(100_000, 2, marks=pytest.mark.slow)],
)
def test_the_number_of_batches_is_bounded_for_any_size(concepts: int, share: int) -> None:
    """Nothing staged, every second item, everything: a mixed roadmap has batches of both kinds."""
    framework = read_framework(framework_of(concept_ids(concepts)))
    items = list(framework.items())
    staged = set(items[::share]) if share else set()
    batches = make_manifest(framework, items, staged, 10).batches
    assert len(batches) <= MAX_BATCHES
    assert len(json.dumps([batch.model_dump(mode="json") for batch in batches])) < 128 * 1024


def test_a_truncated_manifest_is_refused() -> None:
    framework = read_framework(framework_of(["a"]))
    manifest = make_manifest(framework, list(framework.items()), frozenset(), 10)
    cut = Manifest(manifest.body[:-5], manifest.batches)
    with pytest.raises(StorageUnavailableError):
        items_of(cut, manifest.batches[0])
