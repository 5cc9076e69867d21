"""Faults of a content that only the other contents of its course show."""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from roadmap_command.compare.findings import Finding
from roadmap_content.content.language import MIN_WORDS
from roadmap_content.contracts.documents import Document

MIN_SIBLINGS = 5
"""The fewest lessons from which the usual length and the frequent words of a course are known."""

MIN_LENGTH, MIN_SHARE = 0.125, 0.4
"""Shares of the usual length of a lesson, and of the usual share of the course's frequent words: a shorter
text is no lesson, and one with fewer is in another language.
"""

FREQUENT_WORDS = 40
_WITHOUT_SPACES = ("ja", "th", "zh")
_WORD = re.compile(r"[^\W\d_]+")
_CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


class Siblings(NamedTuple):
    """The common facts of a course's lessons."""

    names: Mapping[str, str]
    """The names of its concepts, by id."""

    length: float = 0
    """The usual length of a lesson in characters; 0 if there are few, as `share`."""

    frequent: frozenset[str] = frozenset()
    """The most frequent words, which are those of a language; empty if it is written without spaces."""

    share: float = 0
    """Their usual share of a lesson's words."""

    def find(self, concept_id: str, content: Document) -> list[Finding]:
        """Findings of a content of this course, saved or drafted. Without `markdown`, it is no lesson."""
        if "markdown" not in content:
            return []
        found = []
        title, text = content["title"].strip().casefold(), content["markdown"]
        others = {name.strip().casefold() for each, name in self.names.items() if each != concept_id}
        if title in others and title != self.names.get(concept_id, "").strip().casefold():
            found.append(Finding("title-of-another", "title", "The title is that of another lesson"))
        words = _words(text)
        if len(text) < MIN_LENGTH * self.length:
            sentence = f"It has {len(text)} characters, most others have about {self.length:.0f}"
            found.append(Finding("too-short", "text", sentence))
        elif len(words) >= MIN_WORDS and share_of(words, self.frequent) < MIN_SHARE * self.share:
            found.append(Finding("wrong-language", "text", "It lacks the frequent words of its course"))
        return found


def siblings_of(names: Mapping[str, str], contents: Sequence[Document], language: str) -> Siblings:
    """Read the names and all contents of a course in a language."""
    texts = [content["markdown"] for content in contents if "markdown" in content]
    if len(texts) < MIN_SIBLINGS:
        return Siblings(names)
    length = median(map(len, texts))
    if language.startswith(_WITHOUT_SPACES):
        return Siblings(names, length)
    spoken = list(map(_words, texts))
    frequent = frozenset(
        word for word, _ in Counter(word for words in spoken for word in words).most_common(FREQUENT_WORDS)
    )
    return Siblings(names, length, frequent, median(share_of(words, frequent) for words in spoken))


def share_of(words: Sequence[str], frequent: Collection[str]) -> float:
    """The share of some words that are among the frequent ones."""
    return sum(word in frequent for word in words) / max(1, len(words))


def _words(text: str) -> list[str]:
    return _WORD.findall(_CODE.sub("", text).casefold())
