"""The document of the benchmarks matches the stored results."""

from benchmarks.document import DOCS, DOCUMENT, document, is_plotted
from benchmarks.result import read_results


def test_the_document_is_up_to_date_with_the_results() -> None:
    assert DOCUMENT.read_text() == document(read_results())


def test_every_plot_in_the_document_exists() -> None:
    for result in read_results():
        names = [series.name for series in filter(is_plotted, result.series)]
        missing = [name for name in names if not (DOCS / f"performance/{result.name}-{name}.svg").exists()]
        assert missing == []
