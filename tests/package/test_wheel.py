"""The wheel, installed in a new environment, is a working `roadmap` command from any folder."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local_stack.builds import REPOSITORY
from roadmap_content import __version__
from tests.support.factories import bundle_of

Roadmap = Callable[..., subprocess.CompletedProcess[str]]

QUIET = ("--quiet", "--disable-pip-version-check")
LOCK = REPOSITORY / "requirements/local.txt"
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;]+)( ; [^\\\n]+)?", re.MULTILINE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def wheel(folder: Path) -> Path:
    return built(REPOSITORY, folder)


@pytest.fixture(scope="module")
def client_alone(folder: Path, wheel: Path) -> Path:
    """The Python of a new environment with the wheel, without an extra."""
    run("-m", "venv", folder / "environment")
    python = folder / "environment/bin/python"
    install(python, "--constraint", constraints(folder), wheel)
    return python


@pytest.fixture(scope="module")
def roadmap(folder: Path, wheel: Path, client_alone: Path) -> Roadmap:
    """Runs the installed command in a folder outside the checkout, with a separate home."""
    bin_folder = client_alone.parent
    install(client_alone, "--constraint", constraints(folder), f"{wheel}[command]")

    def call(*arguments: str | Path, code: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        home = {"HOME": str(folder), "XDG_DATA_HOME": str(folder / "data")}
        environment = {"PATH": os.environ["PATH"]} | home | variables
        command = [bin_folder / "roadmap", *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == code, done.stderr
        return done

    return call


@pytest.fixture(scope="module")
def with_local_stack(folder: Path, wheel: Path, roadmap: Roadmap) -> Iterator[Roadmap]:
    python = folder / "environment/bin/python"
    install(python, "--no-deps", "--require-hashes", "--requirement", LOCK)
    subprocess.run([python, "-m", "pip", "check"], check=True)
    yield roadmap
    roadmap("down")


def test_without_an_extra_the_client_is_installed_and_the_command_names_its_extra(client_alone: Path) -> None:
    subprocess.run([client_alone, "-c", "from roadmap_content import Client"], check=True)
    done = subprocess.run([client_alone.parent / "roadmap"], capture_output=True, text=True)
    assert (done.returncode, "roadmap-content[command]" in done.stderr) == (2, True)


def test_the_command_works_without_the_local_stack(roadmap: Roadmap) -> None:
    assert roadmap("--version").stdout == f"roadmap {__version__}\n"
    assert "retry" in roadmap("--help").stdout
    assert "complete" in roadmap(_ROADMAP_COMPLETE="source_bash").stdout
    assert "pip install 'roadmap-content[local]'" in roadmap("up", code=2).stderr


def test_a_file_that_git_does_not_track_is_not_in_the_wheel(tmp_path: Path, wheel: Path) -> None:
    copy = tmp_path / "copy"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True)
    for name in filter(None, tracked.stdout.decode().split("\0")):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, copy / name, follow_symlinks=False)
    subprocess.run(["git", "init", "--quiet", copy], check=True)
    subprocess.run(["git", "add", "--all"], cwd=copy, check=True)
    for stray in ("tools/local_stack/key.pem", "functions/save_batch/notes.txt", "migrations/draft.py"):
        (copy / stray).write_text("not for the world")
    assert names(built(copy, tmp_path)) == names(wheel)


def test_a_roadmap_is_saved_on_the_installed_local_stack(folder: Path, with_local_stack: Roadmap) -> None:
    roadmap = with_local_stack
    bundle = bundle_of(["a", "b"])
    (folder / "bundle.json").write_text(json.dumps(bundle))
    first, again = roadmap("up").stderr, roadmap("up").stderr  # a link of the first is valid for an hour
    for said in (first, again):
        assert re.search(r"http://127\.0\.0\.1:\d+\S*/console/#token=\S+$", said.strip())
    assert "stop it with: roadmap down" in roadmap("up", "--fresh", code=2).stderr
    roadmap("load", "bundle.json")
    saved = json.loads(roadmap("run", bundle["task"]["task_id"], "--json").stdout)
    assert saved["status"] == "completed"
    assert json.loads(roadmap("status", bundle["task"]["task_id"], "--json").stdout) == saved


def built(source: Path, folder: Path) -> Path:
    """Build the wheel of a checkout into a folder."""
    run("-m", "pip", "wheel", *QUIET, "--no-deps", "--no-build-isolation", "--wheel-dir", folder, source)
    (wheel,) = folder.glob("*.whl")
    return wheel


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def constraints(folder: Path) -> Path:
    """The versions of the lock file. Without hashes, pip accepts them for a wheel of our own."""
    path = folder / "constraints.txt"
    included = re.findall(r"^-r (\S+)$", LOCK.read_text(), re.MULTILINE)
    locked = "".join((LOCK.parent / name).read_text() for name in [*included, LOCK.name])
    path.write_text(
        "".join(f"{name}=={version}{marker}\n" for name, version, marker in PINNED.findall(locked))
    )
    return path


def install(python: Path, *arguments: str | Path) -> None:
    subprocess.run([python, "-m", "pip", "install", *QUIET, *arguments], check=True)


def run(*arguments: str | Path) -> None:
    subprocess.run([sys.executable, *arguments], check=True)
