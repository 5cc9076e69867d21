"""The document of the benchmarks says what the kept results say."""

from benchmarks.document import DOCS, DOCUMENT, document
from benchmarks.result import read_results


def test_the_document_is_the_one_that_its_results_make() -> None:
    assert DOCUMENT.read_text() == document(read_results())


def test_every_plot_that_the_document_shows_is_there() -> None:
    for result in read_results():
        names = [series.name for series in result.series]
        names += [breakdown.name for breakdown in result.breakdowns]
        missing = [name for name in names if not (DOCS / f"performance/{result.name}-{name}.svg").exists()]
        assert missing == []
