"""The entry point of `roadmap`. It imports no slow module before it has set its handler for Ctrl-C.

An interruption exits with 130 and without a traceback at any moment: while the commands are imported, which
takes most of a second, while one runs, and while the interpreter shuts down.
"""

import os
import signal
import sys
from types import FrameType

from roadmap_content.contracts.errors import MissingExtraError, requires_extra

_REFUSED, _INTERRUPTED = 2, 130
"""`ExitCode.REFUSED` and `INTERRUPTED`, from a module that is slow to import."""

_command_runs = False


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    if _command_runs:
        raise KeyboardInterrupt
    os._exit(_INTERRUPTED)  # no work has started, or all work has ended and all output is written


# At import, because the script that calls `main` has work to do before it.
# A background job of a shell ignores the signal; this is not changed.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, _interrupt)


def main() -> None:
    """Run a command and exit with its code."""
    global _command_runs
    try:
        with requires_extra("command", "the command `roadmap`"):
            from roadmap_command.main import run
    except MissingExtraError as error:
        sys.stderr.write(f"{error.code}: {error}\n")
        raise SystemExit(_REFUSED) from None

    code = _INTERRUPTED
    try:
        try:
            _command_runs = True
            code = run()
        finally:
            _command_runs = False
    except KeyboardInterrupt:
        code = _INTERRUPTED
    raise SystemExit(code)
