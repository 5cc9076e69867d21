"""The terminal of a person. All text that other people wrote passes through it."""

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Thread, Timer

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

SLOW_SECONDS = 3.0
"""An answer that takes longer is announced."""

SILENT_SECONDS = 10.0
"""The longest silence of a command in a pipe."""

announced = Event()
"""Whether this command has announced that it waits."""

# Control characters but line feed and tab, and those that change the direction of text.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Terminal(Console):
    """A console that prints text as it is: no markup, no emoji codes, and no control characters.

    A title such as `[/etc]` is not markup, and an escape sequence in a reason does not reach the terminal.
    Styles are given by `rich.text.Text`.
    """

    def __init__(self, *, stderr: bool = False, width: int | None = None) -> None:
        # The terminal wraps lines, so that no id, ARN or command is split by a line feed.
        super().__init__(
            stderr=stderr,
            width=width,
            highlight=False,
            markup=False,
            emoji=False,
            soft_wrap=True,
            color_system=None if os.environ.get("NO_COLOR") else "auto",  # rich would keep bold
        )

    @contextmanager
    def working(self, work: object) -> Iterator[None]:
        """Show that work goes on: with a spinner on a terminal, elsewhere with a line every ten seconds.
        `work` is shown as its text is then.
        """
        if self.is_terminal:
            with self.status(str(work)):
                yield
            return
        began, has_ended = time.monotonic(), Event()

        def say() -> None:
            while not has_ended.wait(SILENT_SECONDS):
                self.print(f"{work}: {time.monotonic() - began:.0f} s")

        thread = Thread(target=say, daemon=True)
        thread.start()
        try:
            yield
        finally:
            has_ended.set()
            thread.join()

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render an object without the control characters of its text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


@contextmanager
def waiting_is_said(request: str) -> Iterator[None]:
    """If an answer takes long, print one line on stderr with the cause of the wait: one for a command."""

    def say() -> None:
        if announced.is_set():
            return
        announced.set()
        line = f"No answer to {request} for {SLOW_SECONDS:.0f} s; waiting for at most another minute."
        line += "" if request.endswith("/health") else " What is wrong: roadmap doctor"
        Terminal(stderr=True).print(line, soft_wrap=True)

    timer = Timer(SLOW_SECONDS, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def printable(text: str) -> str:
    """Foreign text without the characters that control a terminal."""
    return _UNSAFE.sub("", text)


def escaped(document: str) -> str:
    """A JSON document in which these characters are escapes."""
    return _UNSAFE.sub(lambda character: f"\\u{ord(character[0]):04x}", document)
