"""The requirements of browser tests: Chromium, and a font with Chinese characters."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from checks.debian import install, is_root_on_debian
from local_stack.steps import console

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium() -> Path | None:
    """The path of Chromium: the value of `CHROMIUM`, or a program in the PATH."""
    named = os.environ.get("CHROMIUM")
    found = named or next(filter(None, map(shutil.which, _NAMES)), None)
    return Path(found) if found else None


def _has_chinese_font() -> bool:
    if not shutil.which("fc-list"):
        return False
    return bool(subprocess.run(["fc-list", ":lang=zh"], capture_output=True, text=True).stdout.strip())


def missing() -> list[str]:
    """The Debian packages of missing requirements."""
    return [
        name
        for name, found in (("chromium", chromium() is not None), ("fonts-noto-cjk", _has_chinese_font()))
        if not found
    ]


def main() -> int:
    """Install missing packages on Debian as root; otherwise print them. Return the exit code."""
    if not (names := missing()):
        return 0
    if not is_root_on_debian():
        console.print(f"The console's checks need {' and '.join(names)}: install them, or set CHROMIUM.")
        return 1
    console.print(f"The console's checks need {' and '.join(names)}: installing them by apt-get.")
    install(*names)
    return 0 if not missing() else 1


if __name__ == "__main__":
    sys.exit(main())
