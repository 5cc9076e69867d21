"""The layer's folders have no circular imports."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from local_stack.builds import REPOSITORY

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
