"""A symptom of unclear language: the share of certain words in docstrings. It does not replace a review."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("layers", "tools", "functions")

RELATIVE_WORDS = re.compile(
    r"\b(who|what|whoever|whatever|wherever|whose|says|said|told|tells)\b", re.IGNORECASE
)
MAX_PER_10_000 = 40
"""In well-known libraries these words are 2 to 10 of 10,000 words of docstrings."""


def docstrings_of(folder: Path) -> Iterator[str]:
    """All docstrings below a folder, including those of variables."""
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            for statement in getattr(node, "body", ()) if isinstance(node, DOCUMENTED) else ():
                match statement:
                    case ast.Expr(value=ast.Constant(value=str(docstring))):
                        yield docstring


DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def test_docstrings_rarely_use_vague_relative_words(capsys: pytest.CaptureFixture[str]) -> None:
    words = found = 0
    for name in FOLDERS:
        docstrings = list(docstrings_of(ROOT / name))
        words += (of_folder := sum(len(docstring.split()) for docstring in docstrings))
        found += (hits := sum(len(RELATIVE_WORDS.findall(docstring)) for docstring in docstrings))
        with capsys.disabled():
            print(f"\n{name}: {10_000 * hits / of_folder:.0f} of 10,000 words", end="")  # noqa: T201
    assert 10_000 * found / words <= MAX_PER_10_000
