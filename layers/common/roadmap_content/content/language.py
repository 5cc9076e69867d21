"""The language in which a course is written, as its names and descriptions show it. No I/O."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence

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

MIN_SCRIPT, MIN_KANA, MIN_ENGLISH = 0.2, 0.05, 0.06
"""The least share of a language's script among the letters of a text (names have few kana), and of frequent
English words among the words of an English text.
"""


def words_of(text: str) -> list[str]:
    return _WORD.findall(text)


def language_of(text: str) -> str:
    """The tag of the language that a course's names and descriptions show: by their script, which terms in
    Latin letters do not change; `und`: Latin letters, but not English; empty if a short text may be either.
    """
    words = words_of(text)
    for tag, script in _SCRIPTS.items():  # Japanese, which has Chinese characters too, precedes Chinese
        least = MIN_KANA if tag == "ja" else MIN_SCRIPT
        if script != "LATIN" and share_of_script(words, tag) >= least:
            return tag
    if len(words) < MIN_WORDS:
        return ""
    english = share_of_english(text, words)
    if english >= MIN_ENGLISH:
        return "en"
    return "und" if english < MIN_ENGLISH / 2 else ""  # in between, it may be either


def share_of_script(words: Sequence[str], language: str) -> float:
    """The share of the letters in the script of a language; 1.0 if the script of the tag is not known."""
    script, letters = _SCRIPTS.get(language, ""), Counter("".join(words))
    in_script = sum(
        number for letter, number in letters.items() if unicodedata.name(letter, "").startswith(script)
    )
    return in_script / max(letters.total(), 1)


def share_of_english(text: str, words: Sequence[str]) -> float:
    """The share of the words of a text that are frequent English ones."""
    return len(_ENGLISH.findall(text)) / max(len(words), 1)
