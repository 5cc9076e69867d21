"""A symptom of unclear language: the share of certain words in docstrings and documents.

It does not replace a review.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from local_stack.builds import REPOSITORY

RELATIVE_WORDS = re.compile(
    r"\b(who|what|whoever|whatever|wherever|whose|says|said|told|tells)\b", re.IGNORECASE
)
MAX_IN_DOCSTRINGS = 25
"""Of 10,000 words. In well-known libraries these words are 2 to 10 of 10,000 words of docstrings."""

MAX_IN_DOCUMENTS = 40
"""Of 10,000 words. Documents ask questions, and name columns of tables."""

FOLDERS = ("layers", "tools", "functions", "tests", "benchmarks", "migrations")
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings_of(folder: Path) -> Iterator[str]:
    """All docstrings below a folder, including those of variables."""
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            for statement in getattr(node, "body", ()) if isinstance(node, DOCUMENTED) else ():
                match statement:
                    case ast.Expr(value=ast.Constant(value=str(docstring))):
                        yield docstring


def share(texts: Iterable[str]) -> float:
    """The relative words of 10,000."""
    words = found = 0
    for text in texts:
        words += len(text.split())
        found += len(RELATIVE_WORDS.findall(text))
    return 10_000 * found / words


def test_docstrings_rarely_use_vague_relative_words() -> None:
    docstrings = {folder: list(docstrings_of(REPOSITORY / folder)) for folder in FOLDERS}
    shares = {folder: round(share(texts)) for folder, texts in docstrings.items()}
    assert share(chain.from_iterable(docstrings.values())) <= MAX_IN_DOCSTRINGS, shares


def test_documents_rarely_use_vague_relative_words() -> None:
    documents = [
        *REPOSITORY.glob("*.md"),
        *(REPOSITORY / "docs").rglob("*.md"),
        REPOSITORY / "events/README.md",
    ]
    texts = [
        CODE.sub("", document.read_text("utf-8")) for document in documents if ".zh" not in document.name
    ]
    assert share(texts) <= MAX_IN_DOCUMENTS
