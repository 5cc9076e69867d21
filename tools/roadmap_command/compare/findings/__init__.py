"""Findings: faults of a content that a careful reader sees without knowing the subject. No I/O.

A content type may have a module here with `find(content, language)`. Findings are for people and for
comparisons. No content is refused because of one.
"""

import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

from roadmap_content.content.language import (
    MIN_ENGLISH,
    MIN_SCRIPT,
    MIN_WORDS,
    share_of_english,
    share_of_script,
    words_of,
)
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.items import ContentType

MAX_ENGLISH = 0.15
"""The largest share of English words in a text that should be in another language."""


class Finding(NamedTuple):
    """A fault. `place` is `line 12` of a text, or the path of a field."""

    code: str
    place: str
    sentence: str


def findings_of(content_type: ContentType, content: Document, language: str) -> list[Finding]:
    """The findings of a saved item or of a draft with texts in `language`, a tag.
    A content type without a module has none.
    """
    module = f"{__name__}.{content_type}"
    if find_spec(module) is None:
        return []
    found: Iterable[Finding] = import_module(module).find(content, language)
    return [*_in_any_text(content), *found]


# UTF-8 that was read as Windows-1252: each character became two or three.
_TWICE_ENCODED = re.compile("[^\x00-\x7f]{2,}")
_NO_VIDEO = re.compile(
    r"(?:youtu\.be/|youtube\.com/(?:watch\?v=|embed/)|vimeo\.com/)"
    r"(?:x{6}|0{6}|_{6}|\W?(?:your_?)?video_?id)",
    re.IGNORECASE,
)


def _in_any_text(value: object, place: str = "") -> Iterator[Finding]:
    """Faults of any text of a content, with the path of its field."""
    match value:
        case str():
            if "\ufffd" in value or any(map(_is_twice_encoded, _TWICE_ENCODED.findall(value))):
                yield Finding("mojibake", place, "Characters were decoded with a wrong encoding")
            if found := _NO_VIDEO.search(value):
                yield Finding("no-video", place, f"The address is a placeholder: {found[0]}")
        case dict():
            for name, inner in value.items():
                yield from _in_any_text(inner, f"{place}.{name}" if place else name)
        case list():
            for index, inner in enumerate(value):
                yield from _in_any_text(inner, f"{place}[{index}]")


def _is_twice_encoded(characters: str) -> bool:
    try:  # bytes that Windows-1252 does not define are read as control characters
        encoded = b"".join(each.encode("latin-1" if each < "\xa0" else "cp1252") for each in characters)
        return bool(encoded.decode())
    except UnicodeError:
        return False


def wrong_language(text: str, language: str) -> list[Finding]:
    """A finding if a text, without its code, is not in `language`; empty: nothing is known of it."""
    words = words_of(text)
    spoken = language.casefold().split("-")[0]
    if len(words) < MIN_WORDS or not spoken:
        return []
    english = share_of_english(text, words)
    is_english = english >= MIN_ENGLISH if spoken == "en" else english > MAX_ENGLISH
    is_in_script = share_of_script(words, spoken) >= MIN_SCRIPT
    is_japanese = spoken == "zh" and share_of_script(words, "ja") >= MIN_SCRIPT
    if is_in_script and not is_japanese and is_english == (spoken == "en"):
        return []
    return [Finding("wrong-language", "text", f"The text is not in the language {language}")]
