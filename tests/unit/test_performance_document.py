"""The document of the benchmarks matches the stored results."""

from benchmarks.document import DOCUMENT, document
from benchmarks.result import read_results


def test_the_document_is_up_to_date_with_the_results() -> None:
    assert DOCUMENT.read_text() == document(read_results())
