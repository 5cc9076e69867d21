"""Build prompts from the templates: the system prompt, and one of each content type.

Text from users (the roadmap, the learner's preferences) is data and must not act as instructions. It is
encoded as JSON between two tags, with `<`, `>` and `&` escaped, so that no text can close the tag or open
another. The system prompt forbids following instructions in it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import ceil
from string import Template
from typing import Any

from ... import content
from ...contracts.documents import Document
from ...contracts.items import ContentType
from ..registry import CONTENT_KINDS
from ..roadmaps.framework import Concept
from .drafting import schema_of
from .learner import Learner

MAX_TEXT = 2_000
MAX_SECTION = 8_000
MAX_DEPTH = 4
"""Limits for text from users, so that users cannot raise the cost of a call: the characters of one text, the
characters of one section (concept, place, learner), and the nesting of lists and objects.
"""

LANGUAGES = {"en": "English", "zh": "简体中文", "zh-cn": "简体中文", "zh-hans": "简体中文"}
"""Names of languages in prompts. Other languages are named by their tag."""

_CJK = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")

# Lone surrogates cannot be encoded. Tag characters are invisible to people, but models read them as text.
_UNSENDABLE = re.compile("[\x00\ud800-\udfff\U000e0000-\U000e007f]")
_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&"})


@dataclass(frozen=True)
class Prompt:
    """The request for one item. The model answers by calling `tool` with an input that matches `schema`."""

    system: str
    user: str
    tool: str
    description: str
    schema: Document
    version: str
    """The name of the templates, and a hash of their files."""

    output_share: float = 1.0
    """The maximum output of this content type, as a share of the model's."""

    is_bulk: bool = False
    """Whether no person waits for the item."""

    @property
    def most_tokens(self) -> int:
        """Upper bound of the input tokens. A token has at least two bytes (about four in English)."""
        texts = (self.system, self.user, self.description, json.dumps(self.schema))
        return sum(len(text.encode()) for text in texts) // 2

    def most_output(self, maximum: int) -> int:
        """The maximum output tokens, with a model's maximum for any answer."""
        return ceil(maximum * self.output_share)


def prompt_for(
    concept: Concept, content_type: ContentType, learner: Learner, refused: str | None = None
) -> Prompt:
    """The prompt for an item, in the learner's language or, if none was requested, the concept's language.

    `refused`: why the item's earlier content was refused.
    """
    tag = learner.language or ("zh" if _CJK.search(concept.name + concept.description) else "en")
    spoken = tag.lower().split("-")[0]
    written = spoken if spoken in LANGUAGES else "en"
    language = LANGUAGES.get(tag.lower(), tag)
    data: dict[str, Mapping[str, object]] = {
        "concept": {
            "name": concept.name,
            "difficulty": concept.difficulty,
            "estimated_hours": concept.estimated_hours,
            "description": concept.description,
            "keywords": list(concept.keywords),
            "prerequisites": list(concept.prerequisites),
        },
        "place_in_the_roadmap": {"stage": concept.stage, "module": concept.module},
        "learner_preferences": learner.preferences,
    }
    if refused is not None:
        data["avoid_this_fault_of_an_earlier_answer"] = {"fault": refused}
    return Prompt(
        system=_system(written).substitute(language=language),
        user=_template(written, content_type).substitute(language=language, data=_as_data(data)),
        tool=f"hand_in_{content_type}",
        description=f"Hands in the {content_type}.",
        schema=schema_of(content_type),
        version=_version(written, content_type),
        output_share=CONTENT_KINDS[content_type].output_share,
    )


def _as_data(sections: Mapping[str, Mapping[str, object]]) -> str:
    """Encode as JSON that contains no tag."""
    data = {name: _fitting(section) for name, section in sections.items()}
    return json.dumps(data, ensure_ascii=False, indent=1).translate(_ESCAPES)


def _fitting(section: Mapping[str, object]) -> Document:
    """The cleaned entries of a section that fit into `MAX_SECTION`."""
    fitting: Document = {}
    room = MAX_SECTION
    for key, value in section.items():
        entry = {_clean(key, 0): _clean(value, MAX_DEPTH)}
        size = len(json.dumps(entry, ensure_ascii=False))
        if size <= room:
            fitting |= entry
            room -= size
    return fitting


def _clean(value: Any, depth: int) -> Any:  # noqa: ANN401 - any JSON value
    match value:
        case str():
            text = _UNSENDABLE.sub("\ufffd", value)
            return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"
        case dict() if depth:
            return {_clean(key, 0): _clean(entry, depth - 1) for key, entry in value.items()}
        case list() if depth:
            return [_clean(entry, depth - 1) for entry in value]
        case dict() | list():
            return None
    return value


@cache
def _system(language: str) -> Template:
    return Template((files(__package__) / f"system.{language}.md").read_text("utf-8"))


@cache
def _template(language: str, content_type: ContentType) -> Template:
    folder = files(content.__name__) / content_type
    return Template((folder / f"prompt.{language}.md").read_text("utf-8"))


@cache
def _version(language: str, content_type: ContentType) -> str:
    texts = [_system(language).template, _template(language, content_type).template]
    return f"{language}/{content_type}@{hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:12]}"
