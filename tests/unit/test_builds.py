"""Cached builds: atomic, and built once by concurrent callers."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from local_stack.builds import build_once


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
