"""Findings: faults of a content that a careful reader sees without knowing the subject. No I/O.

The folder of a content type may have a module `findings` with `find(content, language)`. Findings are for
people and for comparisons. No content is refused because of one.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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


# The script of a language, by the first word of its letters' Unicode names. Where several have one, a text
# counts as the first; only the script is compared.
_SCRIPTS: Mapping[str, str | tuple[str, ...]] = {
    "ar": "ARABIC", "bn": "BENGALI", "el": "GREEK", "en": "LATIN", "fa": "ARABIC", "he": "HEBREW",
    "hi": "DEVANAGARI", "ja": ("HIRAGANA", "KATAKANA"), "ko": "HANGUL", "ru": "CYRILLIC", "th": "THAI",
    "uk": "CYRILLIC", "und": "LATIN", "zh": "CJK",
}  # fmt: skip
_ENGLISH = re.compile(r"(?i)\b(?:the|and|of|to|is|that|this|with|are|you|your|for|what|which|how|can)\b")
_WORD = re.compile(r"[^\W\d_]+")

MIN_WORDS = 40
"""Shorter texts are not examined: they may consist of names and code."""

MIN_SCRIPT, MIN_KANA, MIN_ENGLISH, MAX_ENGLISH = 0.2, 0.05, 0.06, 0.15
"""Limits of the share of letters in a language's script (names have few kana), and of English words in a
text that should be in English and in one that should not.
"""


def language_of(text: str) -> str:
    """The tag of the language that a course's names and descriptions show: by their script, which terms in
    Latin letters do not change; `und`: Latin letters, but not English; empty if the text is short.
    """
    words = _WORD.findall(text)
    letters = Counter("".join(words))
    shares = {tag: _share(letters, script) for tag, script in _SCRIPTS.items() if script != "LATIN"}
    likely = [tag for tag, share in shares.items() if share >= (MIN_KANA if tag == "ja" else MIN_SCRIPT)]
    if likely:
        return likely[0]  # Japanese, which has Chinese characters too, comes before Chinese
    if len(words) < MIN_WORDS:
        return ""
    english = _share_of_english(text, words)
    return "en" if english >= MIN_ENGLISH else "und" if english < MIN_ENGLISH / 2 else ""


def _share(letters: Counter[str], script: str | tuple[str, ...]) -> float:
    in_script = sum(
        number for letter, number in letters.items() if unicodedata.name(letter, "").startswith(script)
    )
    return in_script / max(letters.total(), 1)


def _share_of_english(text: str, words: Sequence[str]) -> float:
    return len(_ENGLISH.findall(text)) / max(len(words), 1)


def wrong_language(text: str, language: str) -> list[Finding]:
    """A finding if a text, without its code, is not in `language`; empty: nothing is known of it."""
    words = _WORD.findall(text)
    spoken = language.casefold().split("-")[0]
    if len(words) < MIN_WORDS or not spoken:
        return []
    english = _share_of_english(text, words)
    is_english = english >= MIN_ENGLISH if spoken == "en" else english > MAX_ENGLISH
    letters = Counter("".join(words))
    is_in_script = _share(letters, _SCRIPTS.get(spoken, "")) >= MIN_SCRIPT
    is_japanese = spoken == "zh" and _share(letters, _SCRIPTS["ja"]) >= MIN_SCRIPT
    if is_in_script and not is_japanese and is_english == (spoken == "en"):
        return []
    return [Finding("wrong-language", "text", f"The text is not in the language {language}")]
