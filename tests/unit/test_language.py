"""A symptom of unclear language: the share of certain words in documents, docstrings and comments.

It does not replace a review.
"""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterable, Iterator
from itertools import chain

import pytest

from local_stack.builds import REPOSITORY

RELATIVE_WORDS = re.compile(
    r"\b(who|what|whoever|whatever|wherever|whose|says|said|told|tells)\b", re.IGNORECASE
)
FOLDERS = ("layers", "tools", "functions", "tests", "benchmarks", "migrations")

CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
DIRECTIVE = re.compile(r"#\s*(?:noqa|type|fmt|pragma)\b(?:(?!\s-\s).)*")
SCRIPT_COMMENT = re.compile(r"/\*.*?\*/|(?:^|\s)//[^\n]*", re.DOTALL | re.MULTILINE)
JSDOC_TYPE = re.compile(r"@\w+(\s+\{.*\})?")
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings_in(source: str) -> Iterator[str]:
    """All docstrings of a module, including those of variables."""
    for node in ast.walk(ast.parse(source)):
        for statement in getattr(node, "body", ()) if isinstance(node, DOCUMENTED) else ():
            match statement:
                case ast.Expr(value=ast.Constant(value=str(docstring))):
                    yield docstring


def comments_in_python(source: str) -> Iterator[str]:
    """All comments of a module, without directives for tools."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield DIRECTIVE.sub("", token.string)


def comments_in_lines(source: str) -> Iterator[str]:
    """The comments of YAML, TOML, SQL, a makefile or a shell script, which begin with `# ` or `-- `."""
    return (match[1] for match in re.finditer(r"(?:^|\s)(?:#|--)\s(.*)$", source, re.MULTILINE))


def comments_in_scripts(source: str) -> Iterator[str]:
    """The comments of JavaScript, TypeScript or CSS, without the types of JSDoc."""
    return (JSDOC_TYPE.sub("", match[0]) for match in SCRIPT_COMMENT.finditer(source))


def documents() -> Iterator[str]:
    """The English documents."""
    for document in chain(
        REPOSITORY.glob("*.md"), REPOSITORY.glob("docs/**/*.md"), REPOSITORY.glob("events/*.md")
    ):
        if ".zh" not in document.name:
            yield document.read_text("utf-8")


def read_below(folders: Iterable[str], *patterns: str) -> Iterator[str]:
    """The texts of the files below some folders."""
    for folder in folders:
        for pattern in patterns:
            for file in (REPOSITORY / folder).rglob(pattern):
                yield file.read_text("utf-8")


def docstrings() -> Iterator[str]:
    """The docstrings of all modules."""
    return chain.from_iterable(map(docstrings_in, read_below(FOLDERS, "*.py")))


def comments() -> Iterator[str]:
    """The comments of all modules, scripts, templates and other files of the deployment and of CI."""
    of_lines = chain(
        read_below([".github", "database", "layers"], "*.yml", "*.yaml", "*.sql", "Makefile"),
        (
            (REPOSITORY / name).read_text("utf-8")
            for name in ("template.yaml", "samconfig.toml", "pyproject.toml", "Makefile", ".ci/run")
        ),
    )
    of_scripts = (
        file.read_text("utf-8")
        for file in (REPOSITORY / "functions/console/assets").iterdir()
        if file.suffix in (".js", ".ts", ".css")
    )
    return chain(
        chain.from_iterable(map(comments_in_python, read_below(FOLDERS, "*.py"))),
        chain.from_iterable(map(comments_in_lines, of_lines)),
        chain.from_iterable(map(comments_in_scripts, of_scripts)),
    )


def share(texts: Iterable[str]) -> float:
    """The relative words of 10,000 words of prose. Code is left out."""
    words = found = 0
    for text in texts:
        prose = CODE.sub("", text)
        words += len(prose.split())
        found += len(RELATIVE_WORDS.findall(prose))
    return 10_000 * found / words


@pytest.mark.parametrize(
    ("texts", "limit"),
    [
        pytest.param(documents, 15, id="documents"),
        pytest.param(docstrings, 11, id="docstrings"),
        pytest.param(comments, 8, id="comments"),
    ],
)
def test_texts_rarely_use_vague_relative_words(texts: Callable[[], Iterator[str]], limit: float) -> None:
    """Of 10,000 words. In docstrings of well-known libraries, these words are 2 to 10 of 10,000."""
    assert share(texts()) <= limit


def test_words_are_found_in_each_kind_of_text_and_not_in_code() -> None:
    texts = [
        *docstrings_in('"""Whoever asks."""\nlimit = 1\n"""Whose limit."""'),
        *comments_in_python("assert x  # noqa: S101 - what it says"),
        *comments_in_lines("key: 1 # what it tells\n-- who asks"),
        *comments_in_scripts("/** What it says. @param {Who} name */ x = 'http://who'; // told"),
    ]
    found = [[word.lower() for word in RELATIVE_WORDS.findall(text)] for text in texts]
    assert found == [
        ["whoever"],
        ["whose"],
        ["what", "says"],
        ["what", "tells"],
        ["who"],
        ["what", "says"],
        ["told"],
    ]
    assert share(["Use `what` here.\n```\nwho\n```\n"]) == 0
