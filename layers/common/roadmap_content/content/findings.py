"""Findings: faults of a content that a careful reader sees without knowing the subject. No I/O.

The folder of a content type may have a module `findings` with `find(content, language)`. Findings are for
people and for comparisons. No content is refused because of one.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

from ..contracts.documents import Document
from ..contracts.items import ContentType


class Finding(NamedTuple):
    """A fault. `place` is `line 12` of a text, or the path of a field."""

    code: str
    place: str
    sentence: str


def findings_of(content_type: ContentType, content: Document, language: str) -> list[Finding]:
    """The findings of a saved item or of a draft with texts in `language`, a tag.
    A content type without a module `findings` has none.
    """
    module = f"{__package__}.{content_type}.findings"
    if find_spec(module) is None:
        return []
    found: Iterable[Finding] = import_module(module).find(content, language)
    return list(found)


# The script of a language, by the first word of its letters' Unicode names.
_SCRIPTS = {
    "ar": "ARABIC", "el": "GREEK", "en": "LATIN", "fa": "ARABIC", "he": "HEBREW", "hi": "DEVANAGARI",
    "ja": "HIRAGANA", "ko": "HANGUL", "ru": "CYRILLIC", "th": "THAI", "uk": "CYRILLIC", "zh": "CJK",
}  # fmt: skip
_ENGLISH = re.compile(r"(?i)\b(?:the|and|of|to|is|that|this|with|are|you|your|for|what|which|how|can)\b")
_WORD = re.compile(r"[^\W\d_]+")

MIN_WORDS = 40
"""Shorter texts are not examined: they may consist of names and code."""

MIN_SCRIPT, MIN_ENGLISH, MAX_ENGLISH = 0.2, 0.06, 0.15
"""Limits of the share of letters in a language's script, and of English words in a text that should be in
English and in one that should not.
"""


def wrong_language(text: str, language: str) -> list[Finding]:
    """A finding if a text, without its code, is not in `language`."""
    words = _WORD.findall(text)
    spoken = language.casefold().split("-")[0]
    if len(words) < MIN_WORDS or not spoken:
        return []
    letters = Counter("".join(words))
    script = _SCRIPTS.get(spoken, "")
    in_script = sum(
        number for letter, number in letters.items() if unicodedata.name(letter, "").startswith(script)
    )
    english = len(_ENGLISH.findall(text)) / len(words)
    is_english = english >= MIN_ENGLISH if spoken == "en" else english > MAX_ENGLISH
    if in_script / letters.total() >= MIN_SCRIPT and is_english == (spoken == "en"):
        return []
    return [Finding("wrong-language", "text", f"The text is not in the language {language}")]
