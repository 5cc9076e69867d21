"""The cells that a run of a matrix plays: all of them, or a sample for the merge gate."""

import os
from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol, TypeVar


class AnyCell(Protocol):
    """A cell of either matrix."""

    @property
    def step(self) -> StrEnum: ...

    @property
    def fault(self) -> StrEnum: ...


C = TypeVar("C", bound=AnyCell)


def selected(cells: Sequence[C]) -> Sequence[C]:
    """All cells; with `FAULTS_CELLS=sample`, a sample."""
    return sample(cells) if os.environ.get("FAULTS_CELLS") == "sample" else cells


def sample(cells: Sequence[C]) -> list[C]:
    """One cell of each fault, at varying steps, and one of each step that would be left out; in order."""
    chosen: list[C] = []
    for number, fault in enumerate(dict.fromkeys(cell.fault for cell in cells)):
        possible = [cell for cell in cells if cell.fault == fault]
        chosen.append(possible[number % len(possible)])
    for cell in cells:
        if cell.step not in {each.step for each in chosen}:
            chosen.append(cell)
    return [cell for cell in cells if cell in chosen]
