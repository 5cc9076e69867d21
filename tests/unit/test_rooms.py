"""The structure of the layer: no circular imports, one writer of each table, one statement of each code."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

from local_stack.builds import REPOSITORY
from migrations.tables import metadata
from roadmap_content.errors import ContentError

LAYER = REPOSITORY / "layers" / "common" / "roadmap_content"


def rooms_of(root: Path) -> dict[str, set[str]]:
    """For each folder, and each module outside of them, the others that it imports."""
    rooms: dict[str, set[str]] = {}
    for path in root.rglob("*.py"):
        place = path.relative_to(root).with_suffix("").parts
        imported = rooms.setdefault(place[0], set())
        imported |= {target for target in _imports(path, place, root.name) if target != place[0]}
    return rooms


def _imports(path: Path, place: tuple[str, ...], package: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.ImportFrom(module=module, names=names, level=level) if level:
                target = [*place[:-level], *(module.split(".") if module else [])]
                yield from [target[0]] if target else [alias.name for alias in names]
            case ast.ImportFrom(module=str(module)) if module.startswith(f"{package}."):
                yield module.split(".")[1]


def circle_in(rooms: Mapping[str, set[str]]) -> list[str] | None:
    """A circle of imports; `None` if there is none."""
    try:
        TopologicalSorter(rooms).prepare()
    except CycleError as error:
        circle: list[str] = error.args[1]
        return circle
    return None


def test_folders_have_no_circular_imports() -> None:
    rooms = rooms_of(LAYER)
    assert rooms["api"] >= {"recoveries", "tasks"}
    assert circle_in(rooms) is None


@pytest.mark.parametrize("line", ["from ..b.module import name", "from package.b.module import name"])
def test_a_circular_import_is_found(tmp_path: Path, line: str) -> None:
    root = tmp_path / "package"
    for room, text in (("a", line), ("b", "def later() -> None:\n    from ..a import module")):
        (root / room).mkdir(parents=True)
        (root / room / "module.py").write_text(text)
    circle = circle_in(rooms_of(root))
    assert circle is not None
    assert set(circle) == {"a", "b"}


WRITE = re.compile(r"\b(?:INTO|UPDATE|DELETE FROM)\s+(\w+)")
SECOND_WRITERS = {
    # The statement that opens an attempt removes the plan of an automatic one, in the same round trip.
    "content_automatic_attempts": {"tasks/attempts.py"},
}


def test_each_table_is_written_by_one_module() -> None:
    writers = defaultdict[str, set[str]](set)
    for path in LAYER.rglob("*.py"):
        for table in WRITE.findall(path.read_text()):
            writers[table].add(str(path.relative_to(LAYER)))
    tables = metadata.tables.keys()
    assert {"roadmap_tasks", "content_failures", "quiz_metadata"} <= writers.keys() & tables
    several = {table: writers[table] - SECOND_WRITERS.get(table, set()) for table in tables}
    assert {table: modules for table, modules in several.items() if len(modules) > 1} == {}


NOT_CODES = {
    ("aws/executions.py", "Cancelled"),  # the error of a stopped execution, for people
    ("api/recovery_list.py", "DatabaseUnavailable"),  # an example in the API's document
    ("authorization/tokens.py", "Unauthorized"),  # the message to which API Gateway answers 401
}


def codes(kind: type[ContentError] = ContentError) -> Iterator[str]:
    """The codes of an error type and of all types below it."""
    yield kind.code
    for below in kind.__subclasses__():
        yield from codes(below)


def strings_outside_of_codes(tree: ast.AST) -> Iterator[str]:
    """The string constants of a module that are not the value of a class's `code`."""
    match tree:
        case ast.Assign(targets=[ast.Name(id="code")]) | ast.AnnAssign(target=ast.Name(id="code")):
            return
        case ast.Constant(value=str(value)):
            yield value
    for child in ast.iter_child_nodes(tree):
        yield from strings_outside_of_codes(child)


def test_a_code_is_stated_by_its_error_type_alone() -> None:
    """Otherwise a change of the code would silently change what recovers from the error."""
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
        if string in known
    }
    assert stated == NOT_CODES
