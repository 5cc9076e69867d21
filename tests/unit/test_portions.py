"""The items of a batch are saved together if they are small, in portions if they are large."""

from collections.abc import Sequence
from typing import Any

import pytest

from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.runs.steps.save import PORTION, PORTION_BYTES, Ready, portions


class Sized:
    """A Save with items of one size."""

    def __init__(self, size: int) -> None:
        self._size = size

    def prepare(self, items: Sequence[Item]) -> list[Ready]:
        return [Ready(item, "A concept", {}, "", self._size) for item in items]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (4_000, [250]),
        (PORTION_BYTES // PORTION // 2, [2 * PORTION, 250 - 2 * PORTION]),
        (PORTION_BYTES, [PORTION, PORTION, PORTION, 250 - 3 * PORTION]),
    ],
)
def test_a_portion_holds_as_many_items_as_their_size_allows(size: int, expected: list[int]) -> None:
    items = [Item(str(number), ContentType.QUIZ) for number in range(250)]
    saver: Any = Sized(size)
    found = list(portions(saver, items))
    assert [len(portion) for portion in found] == expected
    assert [outcome.item for portion in found for outcome in portion] == items
