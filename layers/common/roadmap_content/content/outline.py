"""A concept's texts, as offline drafts use them. No I/O."""

from collections.abc import Sequence
from typing import NamedTuple

MAX_LINE = 200
"""Maximum characters of a name, keyword or prerequisite, which are used in headings and options."""


class Outline(NamedTuple):
    """The texts of a concept: storable single lines, lists without duplicates, and plausible hours."""

    language: str
    """`en` or `zh`: the language of the draft."""

    concept_id: str
    name: str
    description: str
    keywords: Sequence[str]
    prerequisites: Sequence[str]
    hours: float
    """0.0 if they are not known."""

    place: str
    """Its stage and module."""

    nothing: str
    """The words of the language for a text that is missing."""


def one_line(text: str, limit: int = MAX_LINE) -> str:
    """A text as a storable single line of at most so many characters."""
    # JSON may leave a surrogate pair: encoding as UTF-16 joins it. A lone surrogate is replaced.
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    line = " ".join(whole.replace("\x00", "\ufffd").split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
