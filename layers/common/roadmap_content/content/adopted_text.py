"""Derive a tutorial's fields from its text, if the row is missing. No I/O.

The product stores a text before it saves the row. A text without a row has been paid for.
"""

import math
import re

from ..contracts.documents import Document, unstorable

MAX_TITLE, MAX_SUMMARY = 500, 300

WORDS_A_MINUTE, CHARACTERS_A_MINUTE = 200, 400
"""Reading speed; of Chinese and Japanese, in characters."""

_HEADING = re.compile(r"^#{1,6}\s+(.+)$")
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


def draft_from_text(body: bytes, concept_name: str) -> Document | None:
    """The fields of a tutorial's draft; `None` if the text is not a tutorial."""
    try:
        markdown = body.decode()
    except UnicodeDecodeError:
        return None
    if not markdown.strip() or unstorable(markdown):
        return None
    lines = [line.strip() for line in markdown.splitlines()]
    headings = [heading for line in lines if (heading := heading_in(line))]
    plain = " ".join(_paragraph(lines))
    ideographs = len(_IDEOGRAPHS.findall(markdown))
    words = len(_IDEOGRAPHS.sub(" ", markdown).split())
    return {
        "title": (headings[0] if headings else concept_name)[:MAX_TITLE],
        "summary": (plain or concept_name)[:MAX_SUMMARY],
        "estimated_completion_time": math.ceil(words / WORDS_A_MINUTE + ideographs / CHARACTERS_A_MINUTE),
        "markdown": markdown,
    }


def heading_in(line: str) -> str | None:
    """The text of a Markdown heading, without its closing hashes; `None` for another line."""
    match = _HEADING.match(line)
    return None if match is None else match[1].rstrip("#").rstrip() or match[1]


def _paragraph(lines: list[str]) -> list[str]:
    """The first paragraph of prose: neither a heading, a list, a table, a quote nor code."""
    prose: list[str] = []
    in_code = False
    for line in lines:
        if line.startswith("```"):
            in_code = not in_code
            continue
        if in_code or not line or line.startswith(("#", "|", ">", "- ", "* ", "!")):
            if prose:
                break
            continue
        prose.append(line)
    return prose
