"""Write the tables of the assistant's tools into docs/assistant.md."""

import inspect
import re
from collections.abc import Iterable

from local_stack.builds import REPOSITORY
from roadmap_command.assistant import CHANGING, PREVIEWING, READING, Assistant

PAGE = REPOSITORY / "docs" / "assistant.md"

_TABLE = re.compile(r"(?<=\| tool \| purpose \|\n\|---\|---\|\n)(?:\|.*\n)*")


def page_with_tools(page: str) -> str:
    """The page with a row for each tool: those that read, then those of `--allow-writes`."""
    tables = iter((READING, (PREVIEWING, *CHANGING)))
    return _TABLE.sub(lambda _: _rows(next(tables)), page)


def _rows(names: Iterable[str]) -> str:
    purposes = {name: " ".join((inspect.getdoc(getattr(Assistant, name)) or "").split()) for name in names}
    return "".join(f"| `{name}` | {purpose} |\n" for name, purpose in purposes.items())


if __name__ == "__main__":
    PAGE.write_text(page_with_tools(PAGE.read_text()))
