"""What is built once: wholly or not at all, by one of those who want it."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from local_stack.builds import build_once, fingerprint, source_files


def test_of_several_that_want_it_at_the_same_time_one_builds(tmp_path: Path) -> None:
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


def test_what_was_not_finished_is_built_again(tmp_path: Path) -> None:
    def fail(directory: Path) -> None:
        directory.mkdir()
        (directory / "half").touch()
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        build_once(tmp_path / "wanted", fail)
    assert not (tmp_path / "wanted").exists()
    assert list(build_once(tmp_path / "wanted", Path.mkdir).iterdir()) == []


def test_a_fingerprint_tells_contents_and_their_borders_apart(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("ab")
    assert fingerprint(file) == fingerprint("ab")
    assert fingerprint("ab", "c") != fingerprint("a", "bc")
    before = fingerprint(file)
    file.write_text("ba")
    assert fingerprint(file) != before


def test_what_python_leaves_behind_is_not_a_source(tmp_path: Path) -> None:
    for name in ("b.py", "a/c.py", "__pycache__/b.pyc", "a/__pycache__/c.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert source_files(tmp_path) == [tmp_path / "a/c.py", tmp_path / "b.py"]


def test_a_folder_that_is_not_there_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="missing"):
        source_files(tmp_path / "missing")
