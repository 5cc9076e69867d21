"""The document of the matrices matches the results."""

from pathlib import Path
from typing import Any

import pytest

from tests.faults.matrix.matrix import Matrix
from tests.faults.matrix.report import DOCUMENT, REPORTED, Results, differences, render

RESULTS: Results = {
    reported.name: [(cell.step, cell.fault, "something", "0", "1", "2", "3") for cell in reported.matrix.run]
    for reported in REPORTED
}


def changed(name: str, results: Results = RESULTS) -> Results:
    """The results with another last row of a matrix."""
    *rows, last = results[name]
    return {**results, name: [*rows, (*last[:-1], "otherwise")]}


@pytest.fixture
def document(tmp_path: Path) -> Path:
    """A document with the results."""
    document = tmp_path / "faults.md"
    assert differences(RESULTS, document)
    document.write_text(render(RESULTS, document))
    return document


@pytest.mark.parametrize("name", RESULTS)
def test_a_document_with_another_result_of_a_cell_is_stale(document: Path, name: str) -> None:
    assert differences({**RESULTS, name: RESULTS[name][::-1]}, document) == []
    assert [line[0] for line in differences(changed(name), document)] == ["-", "+"]


@pytest.mark.parametrize("name", RESULTS)
def test_the_rows_of_a_part_of_a_matrix_are_compared(document: Path, name: str) -> None:
    part = {each: rows[-2:] for each, rows in RESULTS.items()}
    assert differences(part, document) == []
    assert [line[0] for line in differences(changed(name, part), document)] == ["+"]


@pytest.mark.parametrize("name", RESULTS)
def test_a_matrix_that_was_not_run_keeps_its_part(document: Path, name: str) -> None:
    other = changed(name)
    document.write_text(
        render({each: rows if each == name else [] for each, rows in other.items()}, document)
    )
    for run in (other, {**other, name: []}):
        assert differences(run, document) == []


@pytest.mark.parametrize("matrix", [reported.matrix for reported in REPORTED], ids=["steps", "recoveries"])
def test_a_sample_has_every_fault_and_every_step(matrix: Matrix[Any, Any]) -> None:
    chosen = matrix.sample()
    assert {cell.fault for cell in chosen} == {cell.fault for cell in matrix.run}
    assert {cell.step for cell in chosen} == {cell.step for cell in matrix.run}
    assert len(chosen) < len(matrix.run) / 3


def test_the_document_contains_every_cell() -> None:
    text = DOCUMENT.read_text()
    for reported in REPORTED:
        assert all(f"| {cell.step} | {cell.fault} |" in text for cell in reported.matrix.run)
        assert all(f"| {' | '.join(row)} |" in text for row in reported.matrix.not_run())
