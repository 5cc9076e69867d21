"""The items of a batch are saved in one transaction if they are small, in several if they are large."""

from collections.abc import Sequence
from typing import Any

import pytest

from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.runs.steps.entries import Entry, Prepared
from roadmap_content.runs.steps.save import READ_AT_ONCE, TRANSACTION_BYTES, by_transaction


class Sized:
    """Prepares items of one size."""

    def __init__(self, size: int) -> None:
        self._size = size

    def prepare(self, items: Sequence[Item]) -> Prepared:
        return Prepared([Entry(item, size=self._size) for item in items])


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (4_000, [3 * READ_AT_ONCE + 10]),
        (TRANSACTION_BYTES // READ_AT_ONCE // 2, [2 * READ_AT_ONCE, READ_AT_ONCE + 10]),
        (TRANSACTION_BYTES, [READ_AT_ONCE, READ_AT_ONCE, READ_AT_ONCE, 10]),
    ],
)
def test_a_transaction_saves_as_many_items_as_their_size_allows(size: int, expected: list[int]) -> None:
    items = [Item(str(number), ContentType.QUIZ) for number in range(3 * READ_AT_ONCE + 10)]
    preparer: Any = Sized(size)
    prepared = [transaction.ready for transaction in by_transaction(preparer, items)]
    assert [len(ready) for ready in prepared] == expected
    assert [entry.item for ready in prepared for entry in ready] == items
