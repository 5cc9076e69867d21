"""Samples of parametrized tests for the merge gate; the nightly run leaves out nothing."""

from collections.abc import Sequence

import pytest
from _pytest.mark import ParameterSet


def sampled(cells: Sequence[tuple[object, ...]], every: int) -> list[ParameterSet]:
    """Each nth cell for the gate; the others are marked for the nightly run."""
    return [
        pytest.param(*cell, marks=[pytest.mark.nightly] if number % every else [])
        for number, cell in enumerate(cells)
    ]
