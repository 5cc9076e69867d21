"""A `sam build` for another architecture or another Python is detected before the deployment."""

from pathlib import Path

import pytest

from release.sam_build import foreign_libraries

X86_64, ARM64 = b"\x3e\x00", b"\xb7\x00"


def library(folder: Path, name: str, processor: bytes) -> Path:
    path = folder / "python/package" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x7fELF".ljust(18, b"\x00") + processor + b"the rest")
    return path


@pytest.mark.parametrize("name", ["_core.cpython-313-x86_64-linux-gnu.so", "_rust.abi3.so", "libffi-1.2.so"])
def test_a_library_for_this_architecture_and_python_is_accepted(tmp_path: Path, name: str) -> None:
    library(tmp_path, name, X86_64)
    assert list(foreign_libraries(tmp_path, "x86_64")) == []


def test_a_library_for_another_architecture_is_detected(tmp_path: Path) -> None:
    foreign = library(tmp_path, "_rust.abi3.so", X86_64)
    library(tmp_path, "_core.cpython-313-aarch64-linux-gnu.so", ARM64)
    assert list(foreign_libraries(tmp_path, "arm64")) == [foreign]


def test_a_library_for_another_python_is_detected(tmp_path: Path) -> None:
    foreign = library(tmp_path, "_core.cpython-311-x86_64-linux-gnu.so", X86_64)
    assert list(foreign_libraries(tmp_path, "x86_64")) == [foreign]


def test_an_empty_library_is_detected(tmp_path: Path) -> None:
    foreign = library(tmp_path, "_rust.abi3.so", b"")
    foreign.write_bytes(b"")
    assert list(foreign_libraries(tmp_path, "x86_64")) == [foreign]
