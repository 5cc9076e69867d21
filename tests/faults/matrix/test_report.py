"""The document of the matrix matches the results."""

from dataclasses import replace
from pathlib import Path

from tests.faults.matrix.declaration import CELLS, IMPOSSIBLE, RUN
from tests.faults.matrix.play import Result
from tests.faults.matrix.report import DOCUMENT, differences, render

RESULTS = [Result(cell.step, cell.fault, "something", "SUCCEEDED; completed", 12, 0, 0) for cell in RUN]


def test_a_document_with_another_result_of_a_cell_is_stale(tmp_path: Path) -> None:
    document = tmp_path / "faults.md"
    assert differences(RESULTS, document)
    document.write_text(render(RESULTS))
    assert differences(list(reversed(RESULTS)), document) == []
    changed = differences([replace(RESULTS[0], saved=11), *RESULTS[1:]], document)
    assert [line[0] for line in changed] == ["-", "+"]


def test_the_document_contains_every_cell() -> None:
    text = DOCUMENT.read_text()
    assert all(f"| {cell.step} | {cell.fault} |" in text for cell in RUN)
    assert all(IMPOSSIBLE[cell] in text for cell in CELLS if cell in IMPOSSIBLE)
