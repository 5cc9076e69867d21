"""stdout with named errors: a full disk, and a reader that has ended.

Otherwise the interpreter detects the error when it exits, too late for our message and exit code.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

from local_stack.errors import LocalServiceError


class OutputError(LocalServiceError):
    """The output cannot be written."""

    code = "Output"


class ReaderEndedError(OutputError):
    """The reader of the output has ended, as in `roadmap tasks | head -1`. No message is needed."""

    code = "ReaderEnded"


class CheckedOutput(TextIOWrapper):
    """A stream that raises `OutputError` for the system's errors, of each write and of the last one."""

    def write(self, text: str, /) -> int:
        with self._explained():
            return super().write(text)

    def flush(self) -> None:
        with self._explained():
            super().flush()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            _lead_nowhere(self.fileno())
            if isinstance(error, BrokenPipeError):
                raise ReaderEndedError("its reader has ended") from error
            raise OutputError(
                f"the output cannot be written to stdout: {error.strerror}; write it to another place"
            ) from error


def _lead_nowhere(descriptor: int) -> None:
    """Discard the buffered text. Otherwise writing it would fail again when the interpreter exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


@contextmanager
def checked_output() -> Iterator[None]:
    """Check the output of the block to stdout.

    Raises:
        OutputError: it cannot be written.
    """
    stdout = sys.stdout
    assert isinstance(stdout, TextIOWrapper)  # noqa: S101 - as the interpreter has opened it
    stdout.flush()
    sys.stdout = CheckedOutput(
        stdout.buffer,
        stdout.encoding,
        "backslashreplace",  # a title that the terminal's encoding lacks must not end the command
        line_buffering=stdout.line_buffering,
        write_through=stdout.write_through,
    )
    try:
        yield
    finally:
        sys.stdout.flush()


def give_up_unwritable_errors() -> None:
    """Forget messages that stderr cannot take: the exit code remains."""
    try:
        sys.stderr.flush()
    except OSError:
        _lead_nowhere(sys.stderr.fileno())
