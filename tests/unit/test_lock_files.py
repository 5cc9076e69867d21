"""Lock files have only the hashes that are needed."""

from release.lock_files import limited

LOCK = """-r other.txt
first==1.0 ; python_full_version < '3.12' \\
    --hash=sha256:aa \\
    --hash=sha256:bb \\
    --hash=sha256:cc
windows==2.0 ; sys_platform == 'win32' \\
    --hash=sha256:dd
last==3 \\
    --hash=sha256:ee
"""


def test_only_needed_hashes_stay_and_packages_without_one_go() -> None:
    assert (
        limited(LOCK, {"aa", "cc", "ee", "in another file"})
        == """-r other.txt
first==1.0 ; python_full_version < '3.12' \\
    --hash=sha256:aa \\
    --hash=sha256:cc
last==3 \\
    --hash=sha256:ee
"""
    )


def test_a_limited_lock_file_stays_as_it_is() -> None:
    once = limited(LOCK, {"bb", "ee"})
    assert limited(once, {"bb", "ee"}) == once
