"""The `roadmap` command as a real process: interrupted by a real signal, and with an output that is full."""

import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.nightly

ROADMAP = Path(sys.executable).with_name("roadmap")
IMPORTED = re.compile(r"import time: .*\n")
EXITS = """
import atexit, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
import roadmap_command.entry
atexit.register(os.kill, os.getpid(), signal.SIGINT)
sys.argv = ["roadmap", "--version"]
roadmap_command.entry.main()
"""


def start(*options: str, on_sigint: object = signal.default_int_handler) -> subprocess.Popen[str]:
    """`roadmap --version` as it is installed, with the interpreter's options."""
    # A shell starts its background jobs with SIGINT ignored, and a child inherits that.
    return subprocess.Popen(
        (sys.executable, *options, str(ROADMAP), "--version"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, on_sigint),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("modules", range(0, 400, 20))
def test_an_interruption_while_python_imports_the_command_is_silent(modules: int) -> None:
    """Each time after another module. Before the entry module, the interpreter starts."""
    with start("-X", "importtime") as process:
        assert process.stderr is not None
        while not process.stderr.readline().endswith(" roadmap_command.entry\n"):
            pass
        for _ in range(modules):
            process.stderr.readline()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    assert process.returncode == 130
    assert (stdout, IMPORTED.sub("", stderr)) == ("", "")


def test_an_interruption_while_the_interpreter_exits_is_silent() -> None:
    done = subprocess.run((sys.executable, "-c", EXITS), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "")
    assert done.stdout.startswith("roadmap ")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [("--version",), ("--help",)], ids=str)
def test_an_output_without_space_is_one_line(arguments: tuple[str, ...], unbuffered: str) -> None:
    with Path("/dev/full").open("w") as full:  # ENOSPC to each write
        done = subprocess.run(
            (ROADMAP, *arguments),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith("Output: the output cannot be written to stdout: " + os.strerror(errno.ENOSPC))
