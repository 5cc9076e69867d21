"""The fixed prose of the content that is made without a model: one table for each language."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Site(NamedTuple):
    """A place to search. `url` and `title` take what is searched for; `focused` adds keywords to it."""

    kind: str
    title: str
    url: str
    about: str
    focused: bool


class Asking(NamedTuple):
    """A question on one thing that the outline says, and options that are wrong unless it says just that."""

    question: str
    otherwise: str
    """The option that is right where the outline says nothing."""

    wrong: Sequence[str]


@dataclass(frozen=True)
class Prose:
    """Everything that is fixed, in one language. Braces name what a concept fills in."""

    language: str
    separator: str
    untitled: str

    tutorial: str
    described: str
    undescribed: str
    placed: str
    unplaced: str
    levels: Mapping[str, tuple[str, str]]
    """Difficulty → its label, and advice."""

    unrated: tuple[str, str]
    goal: str
    prepared: str
    unprepared: str
    sections: Sequence[str]
    """Ways to work on a topic: as many sections as a tutorial can have."""

    summary: str

    sites: Sequence[Site]

    place: Asking
    keywords: Asking
    prerequisite: Asking
    effort: str
    level_and_time: str
    time: str
    untimed: str
    says: str
    says_something: str
    says_nothing: str
    truth: tuple[str, str]
    """The options for true and false."""

    explanation: str
    nothing: str
