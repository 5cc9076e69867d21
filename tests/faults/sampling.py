"""What the merge gate runs of the cells, with `FAULTS_CELLS=sample`; other runs leave out nothing."""

import os
from collections.abc import Iterable
from itertools import product
from typing import TypeVar

RowT = TypeVar("RowT")
ColumnT = TypeVar("ColumnT")

IS_SAMPLE = os.environ.get("FAULTS_CELLS") == "sample"


def cells(rows: Iterable[RowT], columns: Iterable[ColumnT]) -> list[tuple[RowT, ColumnT]]:
    """Every row with every column; in a sample a third of them, which has every row and every column."""
    return [
        (row, column)
        for (number, row), (other, column) in product(enumerate(rows), enumerate(columns))
        if not IS_SAMPLE or (number + other) % 3 == 0
    ]
