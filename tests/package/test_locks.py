"""Every lock file can be installed tomorrow, after every package in it has had a newer release.

An index of fakes is tomorrow's registry: each locked package in its version and in a newer one, and each
requires another one with an extra, as `pytest-cov` requires `coverage[toml]`. The commands are the real ones,
from the Makefiles and from the environments.
"""

import functools
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import requires
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

from local_stack.builds import REPOSITORY
from local_stack.environments import INSTALL
from local_stack.layers import MAKEFILE

LOCKS = sorted(
    [
        *(REPOSITORY / "requirements").glob("*.txt"),
        *(REPOSITORY / "layers").glob("*/requirements.txt"),
        REPOSITORY / "migrations/requirements.txt",
    ]
)
OLDEST = "the oldest pip"
# Of Python 3.11.0, the oldest that a supported Python bundles.
PIP = "pip==22.3 --hash=sha256:1daab4b8d3b97d1d763caeb01a4640a2250a0ea899e257b1e44b9eded91e15ab"
PYTHONS = ("python3.11", "python3.12", "python3.13", "python3.14")
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)( ; [^\\\n]+)?", re.MULTILINE)
INCLUDED = re.compile(r"^-r (\S+)$", re.MULTILINE)


class Pinned(NamedTuple):
    """A line of a lock file, without its hashes."""

    name: str
    version: str
    marker: str


def pinned_in(lock: Path) -> list[Pinned]:
    """The packages of a lock file, and those of the lock files that it includes."""
    text = lock.read_text()
    included = [each for name in INCLUDED.findall(text) for each in pinned_in(lock.parent / name)]
    return included + [Pinned(*each) for each in PINNED.findall(text)]


def commands_in(makefile: Path, target: str, *variables: str) -> Iterator[list[str]]:
    """Pip's arguments in the commands that `make` would run for a target."""
    said = subprocess.run(
        ["make", "--dry-run", "--always-make", "--makefile", makefile, target, *variables],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for line in said.stdout.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if words[1:4] == ["-m", "pip", "install"] and "--requirement" in words:
            yield words[3:]


def command_of(lock: Path) -> list[str]:
    """Pip's arguments for a lock file."""
    if lock.parent.name != "requirements":
        variables = ("ARTIFACTS_DIR=layer", "PYTHON=python", "TARGET=lambda")
        (command,) = commands_in(MAKEFILE, "packages", *variables)
        return command
    name = f"requirements/{lock.name}"
    targets = {"dev": "setup", "more": "browser"}
    if target := targets.get(lock.stem):
        (command,) = [each for each in commands_in(REPOSITORY / "Makefile", target) if each[-1] == name]
        return command
    return [*INSTALL, "--requirement", name]


def fake(folder: Path, name: str, version: str, other: str) -> str:
    """Write a wheel that requires another package with an extra. Return its hash."""
    distribution = re.sub(r"[-_.]+", "_", name).lower()
    info = f"{distribution}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nProvides-Extra: more\n"
    wheel = folder / f"{distribution}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"{metadata}Requires-Dist: {other}[more]>=0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(wheel.read_bytes()).hexdigest()


def tomorrow(folder: Path, lock: Path) -> Path:
    """Write the fakes of a lock file's packages, and the lock file with their hashes. Return the latter."""
    pinned = pinned_in(lock)
    assert pinned
    lines = []
    for each, other in zip(pinned, pinned[1:] + pinned[:1], strict=True):
        digest = fake(folder, each.name, each.version, other.name)
        fake(folder, each.name, "99999999", other.name)
        lines.append(f"{each.name}=={each.version}{each.marker} --hash=sha256:{digest}\n")
    copy = folder / "lock.txt"
    copy.write_text("".join(lines))
    return copy


def works(python: str) -> bool:
    """Whether a Python is installed. A version manager's command may be there without it."""
    if shutil.which(python) is None:
        return False
    return subprocess.run([python, "-c", "import ensurepip"], capture_output=True).returncode == 0


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The interpreter of a new environment with a Python's bundled pip, or with the oldest one."""

    @functools.cache
    def made(pip: str) -> Path:
        base = "python3.11" if pip == OLDEST else pip
        if not works(base):
            pytest.skip(f"{base} is not installed")
        folder = tmp_path_factory.mktemp(pip.replace(" ", "-"))
        subprocess.run([base, "-m", "venv", folder], check=True)
        python = folder / "bin/python"
        if pip == OLDEST:
            (folder / "pip.txt").write_text(PIP)
            install = (python, "-m", "pip", *INSTALL, "--requirement", folder / "pip.txt")
            subprocess.run(install, check=True)
        return python

    return made


def dry_run(
    python: Path, command: Sequence[str], folder: Path, lock: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command of pip for a lock file tomorrow, without installing anything."""
    copy = tomorrow(folder, lock)
    arguments = [
        str(copy) if before == "--requirement" else word for before, word in pairwise(["", *command])
    ]
    arguments = [str(folder / "layer") if word.startswith("layer/") else word for word in arguments]
    index = ("--dry-run", "--ignore-installed", "--no-index", "--find-links", str(folder))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return subprocess.run(
        [python, "-m", "pip", "--isolated", *arguments, *index],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )


EVERY_PIP = [
    pytest.param(pip, lock, id=f"{pip}, {lock.relative_to(REPOSITORY)}", marks=marks)
    for pip in (OLDEST, *PYTHONS)
    for lock in LOCKS
    for marks in [[] if pip == OLDEST or lock.stem == "dev" else [pytest.mark.nightly]]
]


@pytest.mark.parametrize(("pip", "lock"), EVERY_PIP)
def test_a_lock_file_is_installed_after_newer_releases(
    environment: Callable[[str], Path], pip: str, lock: Path, tmp_path: Path
) -> None:
    done = dry_run(environment(pip), command_of(lock), tmp_path, lock)
    assert done.returncode == 0, done.stderr


def test_a_resolver_would_look_at_the_newer_releases(
    environment: Callable[[str], Path], tmp_path: Path
) -> None:
    lock = REPOSITORY / "requirements/dev.txt"
    command = [word for word in command_of(lock) if word != "--no-deps"]
    done = dry_run(environment(OLDEST), command, tmp_path, lock)
    assert "all requirements must have their versions pinned with ==" in done.stderr


def test_an_isolated_build_installs_the_locked_backend() -> None:
    backend = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["build-system"]["requires"]
    locked = {f"{each.name}=={each.version}" for each in pinned_in(REPOSITORY / "requirements/dev.txt")}
    assert set(backend) <= locked
    needed = {
        re.split(r"[^A-Za-z0-9_.-]", each)[0] for each in requires("hatchling") or () if "python" not in each
    }
    assert needed | {"hatchling"} == {each.partition("==")[0] for each in backend}
