"""The items of a batch are saved together if they are small, in portions if they are large."""

from collections.abc import Sequence
from typing import Any

import pytest

from roadmap_content.items import ContentType, Item
from roadmap_content.roadmaps.framework import Concept
from roadmap_content.steps.save import PORTION, PORTION_BYTES, Ready, portions


class Sized:
    """A Save with items of one size."""

    def __init__(self, size: int) -> None:
        self._size = size

    def prepare(self, concepts: Sequence[Concept]) -> list[Ready]:
        """Return an item of this size."""
        return [
            Ready(Item(concept.concept_id, ContentType.QUIZ), concept.name, {}, "", self._size)
            for concept in concepts
        ]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (4_000, [250]),
        (PORTION_BYTES // PORTION // 2, [2 * PORTION, 250 - 2 * PORTION]),
        (PORTION_BYTES, [PORTION, PORTION, PORTION, 250 - 3 * PORTION]),
    ],
)
def test_a_portion_holds_as_many_items_as_their_size_allows(size: int, expected: list[int]) -> None:
    concepts = [Concept(str(number), "A concept") for number in range(250)]
    saver: Any = Sized(size)
    found = list(portions(saver, concepts))
    assert [len(portion) for portion in found] == expected
    assert [outcome.item.concept_id for portion in found for outcome in portion] == [
        concept.concept_id for concept in concepts
    ]
