"""A matrix: every step × every fault. A cell is run, or states why not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

from tests.faults.sampling import IS_SAMPLE

StepT = TypeVar("StepT", bound=StrEnum)
FaultT = TypeVar("FaultT", bound=StrEnum)

Row = tuple[str, ...]
"""The columns of the report of a cell: the step, the fault, the injection, and the results."""


class Cell(NamedTuple, Generic[StepT, FaultT]):
    """One step with one fault."""

    step: StepT
    fault: FaultT

    def __str__(self) -> str:
        """The cell's name as one word, for pytest."""
        words = "".join(letter if letter.isalnum() else " " for letter in f"{self.step} {self.fault}")
        return "-".join(words.split())


@dataclass(frozen=True)
class Matrix(Generic[StepT, FaultT]):
    """All cells of some steps and faults."""

    steps: type[StepT]
    faults: type[FaultT]
    impossible: Mapping[Cell[StepT, FaultT], str]
    """The cells that are not run, with the reason or the cell that covers it."""

    @cached_property
    def cells(self) -> list[Cell[StepT, FaultT]]:
        """Every cell, in the order of the report."""
        return [Cell(step, fault) for step in self.steps for fault in self.faults]

    @cached_property
    def run(self) -> list[Cell[StepT, FaultT]]:
        """The cells that are run."""
        return [cell for cell in self.cells if cell not in self.impossible]

    def not_run(self) -> Iterator[Row]:
        """`(step, faults, reason)` of the other cells."""
        found: dict[tuple[str, str], list[str]] = {}
        for cell in self.cells:
            if reason := self.impossible.get(cell):
                found.setdefault((cell.step, reason), []).append(cell.fault)
        for (step, reason), faults in found.items():
            yield step, ", ".join(faults), reason

    def selected(self) -> list[Cell[StepT, FaultT]]:
        """The cells that are run; with `FAULTS_CELLS=sample`, a sample for the merge gate."""
        return self.sample() if IS_SAMPLE else self.run

    def sample(self) -> list[Cell[StepT, FaultT]]:
        """One cell of each fault, at varying steps, and one of each step that would be left out; in order."""
        chosen: list[Cell[StepT, FaultT]] = []
        for number, fault in enumerate(dict.fromkeys(cell.fault for cell in self.run)):
            possible = [cell for cell in self.run if cell.fault == fault]
            chosen.append(possible[number % len(possible)])
        for cell in self.run:
            if cell.step not in {each.step for each in chosen}:
                chosen.append(cell)
        return [cell for cell in self.run if cell in chosen]
