"""The sample of the cells for the merge gate, with `FAULTS_CELLS=sample`; other runs leave out nothing."""

import os
from collections.abc import Iterable
from itertools import product
from typing import TypeVar

RowT = TypeVar("RowT")
ColumnT = TypeVar("ColumnT")

IS_SAMPLE = os.environ.get("FAULTS_CELLS") == "sample"


def cells(rows: Iterable[RowT], columns: Iterable[ColumnT]) -> list[tuple[RowT, ColumnT]]:
    """Every row with every one of three columns; in a sample, every row with one column, in turn."""
    return [
        (row, column)
        for (number, row), (other, column) in product(enumerate(rows), enumerate(columns))
        if not IS_SAMPLE or (number + other) % 3 == 0
    ]
