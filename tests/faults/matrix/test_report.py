"""The document of the matrices matches the results."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.matrix.declaration import CELLS, IMPOSSIBLE, RUN
from tests.faults.matrix.play import Result
from tests.faults.matrix.recoveries import INJECTED, RECOVERY_RUN, RecoveryResult, reasons
from tests.faults.matrix.report import DOCUMENT, Results, differences, render
from tests.faults.matrix.selection import AnyCell, sample

CELL_RESULTS = [Result(cell.step, cell.fault, "something", "SUCCEEDED; completed", 12, 0, 0) for cell in RUN]
RECOVERY_RESULTS = [
    RecoveryResult(
        cell.step, cell.fault, INJECTED[cell.fault], 2, "completed: recovered", "completed", "none"
    )
    for cell in RECOVERY_RUN
]
RESULTS = Results(CELL_RESULTS, RECOVERY_RESULTS)


def test_a_document_with_another_result_of_a_cell_is_stale(tmp_path: Path) -> None:
    document = tmp_path / "faults.md"
    assert differences(RESULTS, document)
    document.write_text(render(RESULTS, document))
    assert differences(RESULTS._replace(cells=list(reversed(CELL_RESULTS))), document) == []
    changed = RESULTS._replace(cells=[replace(CELL_RESULTS[0], saved=11), *CELL_RESULTS[1:]])
    assert [line[0] for line in differences(changed, document)] == ["-", "+"]
    changed = RESULTS._replace(recoveries=[*RECOVERY_RESULTS[1:], replace(RECOVERY_RESULTS[0], places=3)])
    assert [line[0] for line in differences(changed, document)] == ["-", "+"]


def test_the_rows_of_a_part_of_a_matrix_are_compared(tmp_path: Path) -> None:
    document = tmp_path / "faults.md"
    document.write_text(render(RESULTS, document))
    assert differences(Results(CELL_RESULTS[:2], RECOVERY_RESULTS[:2]), document) == []
    changed = Results([replace(CELL_RESULTS[0], saved=11), CELL_RESULTS[1]], [])
    assert [line[0] for line in differences(changed, document)] == ["+"]


@pytest.mark.parametrize("cells", [RUN, RECOVERY_RUN], ids=["steps", "recoveries"])
def test_a_sample_has_every_fault_and_every_step(cells: Sequence[AnyCell]) -> None:
    chosen = sample(cells)
    assert {cell.fault for cell in chosen} == {cell.fault for cell in cells}
    assert {cell.step for cell in chosen} == {cell.step for cell in cells}
    assert len(chosen) < len(cells) / 3


def test_a_matrix_that_was_not_run_keeps_its_part(tmp_path: Path) -> None:
    document = tmp_path / "faults.md"
    document.write_text(render(RESULTS, document))
    other = [replace(result, saved=11) for result in CELL_RESULTS]
    document.write_text(render(Results(other, []), document))
    assert differences(Results([], RECOVERY_RESULTS), document) == []
    assert differences(Results(other, RECOVERY_RESULTS), document) == []


def test_the_document_contains_every_cell() -> None:
    text = DOCUMENT.read_text()
    assert all(f"| {cell.step} | {cell.fault} |" in text for cell in RUN)
    assert all(f"| {cell.step} | {cell.fault} |" in text for cell in RECOVERY_RUN)
    assert all(IMPOSSIBLE[cell] in text for cell in CELLS if cell in IMPOSSIBLE)
    assert all(f"| {step} | {faults} | {reason} |" in text for step, faults, reason in reasons())
