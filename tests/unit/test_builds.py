"""Cached builds: atomic, and built once by concurrent callers. What is interrupted leaves no process."""

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import NoReturn

import pytest
from psutil import Process

from local_stack import cloud, postgres_server
from local_stack.builds import build_once
from local_stack.errors import LocalServiceError
from local_stack.processes import build, has_ended, spawn


def test_concurrent_callers_build_once(tmp_path: Path) -> None:
    together, built = Barrier(4), []

    def build(directory: Path) -> None:
        built.append(directory)
        directory.mkdir()
        (directory / "content").write_text("whole")

    def want(_: int) -> str:
        together.wait()
        return (build_once(tmp_path / "wanted", build) / "content").read_text()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(want, range(4))) == ["whole"] * 4
    assert len(built) == 1


def test_a_failed_build_is_repeated(tmp_path: Path) -> None:
    def fail(directory: Path) -> None:
        directory.mkdir()
        (directory / "half").touch()
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        build_once(tmp_path / "wanted", fail)
    assert not (tmp_path / "wanted").exists()
    assert list(build_once(tmp_path / "wanted", Path.mkdir).iterdir()) == []


def test_a_full_disk_is_named_and_another_failure_has_its_last_error() -> None:
    """Regression: pip's traceback, and the last line named a command of 300 characters."""
    for output, message in (
        (f"OSError: {os.strerror(errno.ENOSPC)}", "^the disk of .* is full$"),
        ("ERROR: No matching distribution", "^sh: ERROR: No matching distribution$"),
    ):
        with pytest.raises(LocalServiceError, match=message):
            build("sh", "-c", f"echo {output} >&2; echo make: Error 2 >&2; exit 1")


def test_an_interrupted_start_leaves_no_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Regression: after Ctrl-C in `roadmap up`, the local cloud went on."""
    begun: list[Process] = []

    def launch(*_: object, **__: object) -> Process:
        begun.append(spawn((shutil.which("sleep") or "", "600"), {}, tmp_path / "log", detached=True))
        return begun[-1]

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(cloud, "environment_python", lambda *_: "python")
    monkeypatch.setattr(postgres_server, "_create_cluster", lambda _: "password")
    for module, part, wait in (
        (cloud, cloud.Cloud, "_await_answer"),
        (postgres_server, postgres_server.PostgresServer, "_await_ready"),
    ):
        monkeypatch.setattr(module, "spawn", launch)
        monkeypatch.setattr(part, wait, interrupt)
        with pytest.raises(KeyboardInterrupt):
            part.start(tmp_path)
    assert [has_ended(process) for process in begun] == [True, True]
