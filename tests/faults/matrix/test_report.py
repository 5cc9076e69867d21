"""The document of the matrix says what came of it, or is stale."""

from dataclasses import replace
from pathlib import Path

from .declaration import CELLS, IMPOSSIBLE, RUN
from .play import Result
from .report import DOCUMENT, is_stale, render

RESULTS = [Result(cell.step, cell.fault, "something", "SUCCEEDED; completed", 12, 0, 0) for cell in RUN]


def test_a_document_is_stale_when_a_cell_ends_otherwise(tmp_path: Path) -> None:
    document = tmp_path / "faults.md"
    assert is_stale(RESULTS, document)
    document.write_text(render(RESULTS))
    assert not is_stale(list(reversed(RESULTS)), document)
    assert is_stale([replace(RESULTS[0], saved=11), *RESULTS[1:]], document)


def test_the_document_has_every_cell() -> None:
    text = DOCUMENT.read_text()
    assert all(f"| {cell.step} | {cell.fault} |" in text for cell in RUN)
    assert all(IMPOSSIBLE[cell] in text for cell in CELLS if cell in IMPOSSIBLE)
