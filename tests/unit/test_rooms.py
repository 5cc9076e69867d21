"""The structure of the layer: one writer of each table, one statement of each code."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module

from local_stack.builds import REPOSITORY
from migrations.privileges import READS
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.contracts.errors import ContentError
from roadmap_content.contracts.reasons import SENTENCES

LAYER = REPOSITORY / "layers" / "common" / "roadmap_content"


WRITE = re.compile(r"\b(?:INTO|UPDATE|DELETE FROM)\s+(\w+)")
SECOND_WRITERS = {
    # Two columns, which nothing else reads, note since when a task and its roadmap are gone. An erasure ends
    # the attempts of its user.
    "content_attempts": {"capabilities/erasure/deleted.py", "capabilities/erasure/attempts.py"},
}


def test_each_table_is_written_by_one_module() -> None:
    writers = defaultdict[str, set[str]](set)
    for path in LAYER.rglob("*.py"):
        for table in WRITE.findall(path.read_text()):
            writers[table].add(str(path.relative_to(LAYER)))
    for content_type, kind in CONTENT_KINDS.items():
        if kind.table in WRITE.findall(kind.sql.save):
            writers[kind.table].add(f"content/{content_type}/__init__.py")
    tables = set(READS)
    assert {"roadmap_tasks", "content_failures", "quiz_metadata"} <= writers.keys() & tables
    several = {table: writers[table] - SECOND_WRITERS.get(table, set()) for table in tables}
    assert {table: modules for table, modules in several.items() if len(modules) > 1} == {}


NOT_CODES = {
    ("platform/aws/executions.py", "Cancelled"),  # the error of a stopped execution, for people
    ("capabilities/recoveries/request.py", "DatabaseUnavailable"),  # an example in the API's document
    ("platform/authorization/authenticate.py", "Unauthorized"),  # API Gateway answers 401 to it
}


def codes(kind: type[ContentError] = ContentError) -> Iterator[str]:
    """The codes of an error type and of all types below it."""
    yield kind.code
    for below in kind.__subclasses__():
        yield from codes(below)


def strings_outside_of_codes(tree: ast.AST) -> Iterator[str]:
    """The string constants of a module that are not the code of a class."""
    match tree:
        case ast.AnnAssign(target=ast.Name(id="code")):
            return
        case ast.Constant(value=str(value)):
            yield value
    for child in tree.body if isinstance(tree, ast.ClassDef) else ast.iter_child_nodes(tree):
        yield from strings_outside_of_codes(child)


def test_a_code_is_stated_by_its_error_type_alone() -> None:
    """Otherwise a change of the code would silently change the way to recover from the error."""
    modules = {
        str(path.relative_to(LAYER)): ast.parse(path.read_text())
        for path in LAYER.rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    }
    for name in modules:
        import_module(f"roadmap_content.{name.removesuffix('.py').replace('/', '.')}")
    known = {code for code in codes() if code[0].isupper()}
    assert {"IdTaken", "TaskNotFound"} < known
    stated = {
        (name, string)
        for name, tree in modules.items()
        for string in strings_outside_of_codes(tree)
        if string in known and name != "contracts/reasons.py"  # the table of sentences by code
    }
    assert stated == NOT_CODES
    explained = {code for code in SENTENCES if re.fullmatch("[A-Z][a-z][A-Za-z]+", code)}
    of_items = {code for code in explained - known if not code.startswith("Recovery")}  # those refuse tasks
    assert of_items == {
        "AddedSince", "BatchLost", "ExecutionOver", "NotReported", "NotRequested", "NothingMissing",
    }  # fmt: skip
