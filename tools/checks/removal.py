"""Take capabilities away on a scratch copy: their folders, their tests, and their names in the functions.
The rest of the layer and the functions must pass imports, types and the core's tests, and define nothing
that only a capability called.

    python -m checks.removal [CAPABILITY …]

Without a name, each capability alone, and then all at once.
"""

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from local_stack.builds import REPOSITORY

LAYER = "layers/common/roadmap_content"
CAPABILITIES = f"{LAYER}/capabilities"
CORE_TESTS = [f"tests/integration/test_{name}.py" for name in ("pipeline", "recovery", "checks", "status")]
"""The pipeline, retries, the sweep and the status of a task."""

CHECKS = (
    ("lint-imports", "--no-logo", "--no-cache"),
    ("mypy", "--package", "roadmap_content", "--package", "functions"),
    ("pytest", "-q", *CORE_TESTS),
)

_WRITES = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM) \w+")


def without(source: str, capability: str) -> str:
    """A module that composes capabilities, without one: its imports, and the uses of their names."""
    imported = rf"from (?:roadmap_content\.capabilities)?\.{capability}\b[.\w]* import (\([^)]*\)|.*)\n"
    names = {name for found in re.finditer(imported, source) for name in re.findall(r"\w+", found[1])}
    source = re.sub(imported, "", source)
    for name in names:
        source = re.sub(rf"^{name}\([^()]*\)\n", "", source, flags=re.MULTILINE)  # what it adds
        source = re.sub(rf", \w+={name}\b", "", source)  # what another one asks of it
        source = re.sub(rf"\b{name}, ?|, {name}(?=\))", "", source)  # in a tuple
    return re.sub(r"= \((\w+)\)$", r"= (\1,)", source, flags=re.MULTILINE)  # a tuple of one


def remove(root: Path, capabilities: Sequence[str]) -> None:
    """Remove capabilities from a copy of the repository."""
    for capability in capabilities:
        shutil.rmtree(root / CAPABILITIES / capability)
        shutil.rmtree(root / "tests/integration" / capability)
        for path in [*root.glob("functions/*/app.py"), root / CAPABILITIES / "composed.py"]:
            path.write_text(without(path.read_text(), capability))


def uncalled(root: Path) -> set[str]:
    """The functions, classes and constants of the core's modules that nothing calls: neither the layer, nor a
    function, a migration or a tool. Those that write a table stay, because each table has one writer.
    """
    places = (LAYER, "functions", "migrations", "tools", "benchmarks")
    trees = {path: ast.parse(path.read_text()) for place in places for path in (root / place).rglob("*.py")}
    used = sum(map(_names, trees.values()), Counter[str]())
    return {
        name
        for path, tree in trees.items()
        if path.is_relative_to(root / LAYER) and not path.is_relative_to(root / CAPABILITIES)
        for name, definition in _definitions(tree)
        if used[name] == _names(definition)[name] and not _writes(definition, tree)
    }


def _names(tree: ast.AST) -> Counter[str]:
    """The names that a piece of code uses, and how often."""
    found = Counter[str]()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name):
                found[name] += 1
            case ast.Constant(value=str(value)) if value.isidentifier():  # an annotation
                found[value] += 1
    return found


def _definitions(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name, node


def _writes(definition: ast.stmt, tree: ast.Module) -> bool:
    """Whether a function executes a statement of its module that writes a table."""
    used = _names(definition)
    return any(
        _WRITES.search(text.value)
        for name, statement in _definitions(tree)
        if isinstance(definition, ast.FunctionDef) and isinstance(statement, ast.Assign) and name in used
        for text in ast.walk(statement)
        if isinstance(text, ast.Constant) and isinstance(text.value, str)
    )


def check(capabilities: Sequence[str]) -> bool:
    """Whether everything that remains without some capabilities passes."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "repository"
        shutil.copytree(REPOSITORY, root, ignore=shutil.ignore_patterns(".git", ".venv", ".local", "*cache*"))
        before = uncalled(root)
        remove(root, capabilities)
        named = ", ".join(capabilities)
        left = sorted(uncalled(root) - before)
        sys.stdout.write(f"Without {named}: {len(left)} definitions without a caller {left or ''}\n")
        places = ":".join(str(root / part) for part in (".", "layers/common", "tools"))
        for program, *arguments in CHECKS:
            installed = Path(sys.executable).with_name(program)
            environment = os.environ | {"PYTHONPATH": places}
            if subprocess.run([installed, *arguments], cwd=root, env=environment, check=False).returncode:
                sys.stderr.write(f"Without {named}, {program} fails.\n")
                return False
        return not left


def main() -> None:
    """Check each capability and all at once, or those that are named, alone."""
    every = sorted(path.parent.name for path in (REPOSITORY / CAPABILITIES).glob("*/hooks.py"))
    chosen = [[name] for name in sys.argv[1:] or every] + ([] if sys.argv[1:] else [every])
    results = [check(capabilities) for capabilities in chosen]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
