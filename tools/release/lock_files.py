"""Limit lock files to the platforms on which they are installed: `python -m release.lock_files FILE…`.

uv writes the hash of every file of a package, also of those for Windows and for older versions of Python.
Which files are needed is uv's decision, as for `uv.lock`. Hashes of sources stay: other platforms build them.
"""

import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Set as AbstractSet
from pathlib import Path

from local_stack.environments import environment_python

PLATFORMS = {"linux": ("x86_64", "aarch64"), "darwin": ("x86_64", "arm64")}
"""The architectures for each `sys.platform`, by the names of `platform.machine()`."""

_PACKAGE = re.compile(r"^\S+==.*(?: \\\n    --hash=sha256:\w+)+\n", re.MULTILINE)
_HASH = re.compile(r" \\\n    --hash=sha256:(\w+)")


def limited(lock: str, needed: AbstractSet[str]) -> str:
    """A lock file with only the needed hashes, and without packages that have none of them."""

    def shorter(package: re.Match[str]) -> str:
        if needed.isdisjoint(_HASH.findall(package[0])):
            return ""
        return _HASH.sub(lambda each: each[0] if each[1] in needed else "", package[0])

    return _PACKAGE.sub(shorter, lock)


def needed_hashes(lock: Path) -> set[str]:
    """The SHA-256 of every file of the locked packages that uv would install on one of the platforms."""
    environments = [
        f"sys_platform == '{system}' and platform_machine == '{machine}'"
        for system, machines in PLATFORMS.items()
        for machine in machines
    ]
    with tempfile.TemporaryDirectory() as project:
        Path(project, "pyproject.toml").write_text(f"[tool.uv]\nenvironments = {environments!r}\n")
        command = (
            environment_python("checks").with_name("uv"),
            "--project",
            project,
            "pip",
            "compile",
            "--quiet",
            "--universal",
            "--no-deps",
        )
        output = Path(project, "pylock.toml")
        subprocess.run(
            [*command, "--python-version", "3.11", "--output-file", output, lock.resolve()],
            cwd=lock.parent,
            check=True,
        )
        packages = tomllib.loads(output.read_text())["packages"]
    files = [file for package in packages for file in (package.get("sdist"), *package.get("wheels", ()))]
    return {file["hashes"]["sha256"] for file in files if file}


if __name__ == "__main__":
    for name in sys.argv[1:]:
        path = Path(name)
        path.write_text(limited(path.read_text(), needed_hashes(path)))
