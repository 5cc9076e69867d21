"""Cached builds: atomic, and built once by concurrent callers."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from local_stack.builds import build_once, fingerprint, source_files


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


def test_a_fingerprint_depends_on_contents_and_their_boundaries(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("ab")
    assert fingerprint(file) == fingerprint("ab")
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    before = fingerprint(file)
    file.write_text("ba")
    assert fingerprint(file) != before


def test_a_folder_that_is_a_link_is_a_part_of_the_sources(tmp_path: Path) -> None:
    (tmp_path / "function").mkdir()
    (tmp_path / "page").mkdir()
    (tmp_path / "page/a.js").touch()
    (tmp_path / "function/page").symlink_to("../page")
    assert source_files(tmp_path / "function") == [tmp_path / "function/page/a.js"]
