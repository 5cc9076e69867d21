"""The fixed texts of offline content, one table per language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...content.resources import ResourceType


class Site(NamedTuple):
    """A search site. `url` and `title` are templates for the query; `focused` adds keywords to the query."""

    kind: ResourceType
    title: str
    url: str
    about: str
    focused: bool


class QuestionProse(NamedTuple):
    """A question about one field of a concept, with wrong options for it."""

    question: str
    fallback: str
    """The correct option if the field is empty."""

    wrong: Sequence[str]


@dataclass(frozen=True)
class Prose:
    """The fixed texts in one language. Names in braces are replaced with values of a concept."""

    language: str
    separator: str
    untitled: str

    tutorial: str
    described: str
    undescribed: str
    placed: str
    unplaced: str
    levels: Mapping[str, tuple[str, str]]
    """Difficulty → (label, advice)."""

    unrated: tuple[str, str]
    goal: str
    prepared: str
    unprepared: str
    sections: Sequence[str]
    """Templates for sections about a topic. Their number is the maximum number of sections of a tutorial."""

    summary: str

    sites: Sequence[Site]

    place: QuestionProse
    keywords: QuestionProse
    prerequisite: QuestionProse
    effort: str
    level_and_time: str
    time: str
    untimed: str
    quotes_description: str
    has_description: str
    lacks_description: str
    truth: tuple[str, str]
    """The options for true and false."""

    explanation: str
    nothing: str
