"""What a model is told: the prompts of `prompts/`, filled in.

What users wrote (the roadmap, the learner's preferences) is data and never becomes instructions. It stands
as JSON between two tags; inside, the characters that tags are made of are escaped, so that no text can
close the tag or open another; and the system prompt says that nothing in there is to be followed.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

from ..documents import Document
from ..items import ContentType
from ..roadmaps.framework import Concept
from .drafting import schema_of
from .learner import Learner

MAX_TEXT = 2_000
MAX_SECTION = 8_000
MAX_DEPTH = 4
"""Characters of a text, and of all that is said of the concept, of its place or of the learner; lists and
objects in one another. What users wrote is cut to this: they do not decide what a call costs."""

LANGUAGES = {"en": "English", "zh": "简体中文", "zh-cn": "简体中文", "zh-hans": "简体中文"}
"""What a language is called in prompts; another one goes by its tag."""

_CJK = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")

# Halves of characters cannot be sent. Tag characters are invisible to people and letters to models.
_UNSENDABLE = re.compile("[\x00\ud800-\udfff\U000e0000-\U000e007f]")
_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&"})


@dataclass(frozen=True)
class Prompt:
    """One item, put to a model, which answers by calling the tool with what fits the schema."""

    system: str
    user: str
    tool: str
    description: str
    schema: Document

    @property
    def most_tokens(self) -> int:
        """No fewer than a model reads here: a token takes two bytes or more, in English some four."""
        texts = (self.system, self.user, self.description, json.dumps(self.schema))
        return sum(len(text.encode()) for text in texts) // 2


def prompt_for(concept: Concept, content_type: ContentType, learner: Learner) -> Prompt:
    """Put an item to a model, in the learner's language; where none was asked for, in the concept's."""
    tag = learner.language or ("zh" if _CJK.search(concept.name + concept.description) else "en")
    spoken = tag.lower().split("-")[0]
    folder = spoken if spoken in LANGUAGES else "en"
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
    return Prompt(
        system=_template(folder, "system").substitute(language=language),
        user=_template(folder, content_type).substitute(language=language, data=_as_data(data)),
        tool=f"hand_in_{content_type}",
        description=f"Hands in the {content_type}.",
        schema=schema_of(content_type),
    )


def _as_data(sections: Mapping[str, Mapping[str, object]]) -> str:
    """JSON that holds no tag, whatever was written."""
    data = {name: _fitting(section) for name, section in sections.items()}
    return json.dumps(data, ensure_ascii=False, indent=1).translate(_ESCAPES)


def _fitting(section: Mapping[str, object]) -> Document:
    """The entries of a section that there is room for, cleaned."""
    fitting: Document = {}
    room = MAX_SECTION
    for key, value in section.items():
        entry = {_clean(key, 0): _clean(value, MAX_DEPTH)}
        size = len(json.dumps(entry, ensure_ascii=False))
        if size <= room:
            fitting |= entry
            room -= size
    return fitting


def _clean(value: Any, depth: int) -> Any:  # noqa: ANN401 - whatever JSON holds
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
def _template(language: str, name: str) -> Template:
    return Template((files(__package__) / "prompts" / language / f"{name}.md").read_text("utf-8"))
