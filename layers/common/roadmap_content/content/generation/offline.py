"""Write short drafts from a concept's own texts, without a model, so that the whole system runs offline.

The same concept always gives the same content.
"""

import re
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from ... import content
from ...contracts.documents import Document
from ...platform.runtime.settings import Settings
from ..kind import Draft
from ..roadmaps.framework import Concept
from .generator import Allowance, GenerationRequest, Generator
from .prompting import written_in

MAX_LINE = 200
"""Maximum characters of a name, keyword or prerequisite, which are used in headings and options."""

MAX_DESCRIPTION = 1000

MAX_HOURS = 10_000
"""Estimated hours above this are implausible and ignored."""

_NOTHING = {"en": "The outline has none.", "zh": "大纲中没有。"}

_HEADING_MARK = re.compile(r"^\s*#+\s")


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


class OfflineGenerator:
    """A deterministic `Generator` without network access, clock or randomness."""

    def generate(self, request: GenerationRequest, _allowance: Allowance | None = None, /) -> Document:
        """Generate an item. Accepts any concept and never fails. A draft that replaces a saved item has its
        number beside the concept's name, so that it differs.
        """
        outline = _outline(request.concept, written_in(request.concept, request.learner))
        if request.draft_number > 1:
            outline = outline._replace(name=f"{outline.name} #{request.draft_number}")
        draft: Draft = import_module(f".{request.content_type}.offline", content.__name__).draft(outline)
        return draft.model_dump(mode="json")


def create(_settings: Settings) -> Generator:
    return OfflineGenerator()


def _outline(concept: Concept, language: str) -> Outline:
    concept_id = one_line(concept.concept_id)
    hours = concept.estimated_hours
    place = (one_line(concept.stage), one_line(concept.module))
    return Outline(
        language=language,
        concept_id=concept_id,
        name=one_line(_HEADING_MARK.sub("", concept.name)) or concept_id or _NOTHING[language],
        description=one_line(concept.description, MAX_DESCRIPTION),
        keywords=_lines(concept.keywords),
        prerequisites=_lines(concept.prerequisites),
        hours=hours if 0 < hours <= MAX_HOURS else 0.0,
        place=" › ".join(dict.fromkeys(filter(None, place))),
        nothing=_NOTHING[language],
    )


def _lines(texts: Sequence[str]) -> tuple[str, ...]:
    distinct: dict[str, str] = {}
    for line in map(one_line, texts):
        if line:
            distinct.setdefault(line.casefold(), line)
    return tuple(distinct.values())


def one_line(text: str, limit: int = MAX_LINE) -> str:
    """A text as a storable single line of at most so many characters."""
    # JSON may leave a surrogate pair: encoding as UTF-16 joins it. A lone surrogate is replaced.
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    line = " ".join(whole.replace("\x00", "\ufffd").split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"
