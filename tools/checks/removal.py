"""Take a capability away on a scratch copy: its folder, its tests, and its names in the functions. What
remains of the layer and the functions must pass imports, types and the core's tests.

    python -m checks.removal [CAPABILITY …]
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from local_stack.builds import REPOSITORY

CAPABILITIES = "layers/common/roadmap_content/capabilities"
CORE_TESTS = [f"tests/integration/test_{name}.py" for name in ("pipeline", "recovery", "checks", "status")]
"""The pipeline, retries, the sweep and the status of a task."""

CHECKS = (
    ("lint-imports", "--no-logo", "--no-cache"),
    ("mypy", "--package", "roadmap_content", "--package", "functions"),
    ("pytest", "-q", *CORE_TESTS),
)


def without(source: str, capability: str) -> str:
    """A module that composes capabilities, without one: its imports, and the uses of their names."""
    imported = rf"from (?:roadmap_content\.capabilities)?\.{capability}\b[.\w]* import (\([^)]*\)|.*)\n"
    names = {name for found in re.finditer(imported, source) for name in re.findall(r"\w+", found[1])}
    source = re.sub(imported, "", source)
    for name in names:
        source = re.sub(rf"^{name}\([^()]*\)\n", "", source, flags=re.MULTILINE)  # what it adds
        source = re.sub(rf", \w+={name}\b", "", source)  # what another one asks of it
        source = re.sub(rf"\b{name}, ?|, {name}(?=\))", "", source)  # in a tuple
    return source


def remove(root: Path, capability: str) -> None:
    """Remove a capability from a copy of the repository."""
    shutil.rmtree(root / CAPABILITIES / capability)
    shutil.rmtree(root / "tests/integration" / capability)
    for path in [*root.glob("functions/*/app.py"), root / CAPABILITIES / "composed.py"]:
        path.write_text(without(path.read_text(), capability))


def check(capability: str) -> bool:
    """Whether everything that remains without a capability passes."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "repository"
        shutil.copytree(REPOSITORY, root, ignore=shutil.ignore_patterns(".git", ".venv", ".local", "*cache*"))
        remove(root, capability)
        places = ":".join(str(root / part) for part in (".", "layers/common", "tools"))
        for program, *arguments in CHECKS:
            installed = Path(sys.executable).with_name(program)
            environment = os.environ | {"PYTHONPATH": places}
            if subprocess.run([installed, *arguments], cwd=root, env=environment, check=False).returncode:
                sys.stderr.write(f"Without {capability}, {program} fails.\n")
                return False
    return True


def main() -> None:
    """Check each capability, or those that are named."""
    every = sorted(path.parent.name for path in (REPOSITORY / CAPABILITIES).glob("*/hooks.py"))
    results = [check(capability) for capability in sys.argv[1:] or every]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
