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
from pathlib import Path
from string import Template
from typing import Any

from pydantic import ValidationError

from ... import content
from ...contracts.documents import Document, unstorable
from ...contracts.errors import InvalidContentError
from ...contracts.items import MAX_INSTRUCTION, ContentType
from ...contracts.payloads import first_fault
from ..kind import Draft
from ..language import language_of
from ..registry import CONTENT_KINDS
from ..roadmaps.framework import Concept
from .generator import Change, GenerationRequest, Learner
from .model import Answer, Rejected
from .quota import Need

MAX_TEXT = MAX_INSTRUCTION
MAX_SECTION = 8_000
MAX_DEPTH = 4
"""Limits for text from users, so that users cannot raise the cost of a call: the characters of one text, the
characters of one section (concept, place, learner), and the nesting of lists and objects.
"""

LANGUAGES = {"en": "English", "zh": "简体中文", "zh-cn": "简体中文", "zh-hans": "简体中文"}
"""Names of languages in prompts. Other languages are named by their tag."""

_OF_THE_COURSE = {
    "en": "the language in which this course is written (see its texts and names in the data)",
    "zh": "本课程所用的语言（见数据中课程的文字和名称）",
}
"""The language if none was requested: the model sees better than a list of scripts which one it is."""

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

    @property
    def most_tokens(self) -> int:
        """Upper bound of the input tokens. A token has at least two bytes (about four in English)."""
        texts = (self.system, self.user, self.description, json.dumps(self.schema))
        return sum(len(text.encode()) for text in texts) // 2

    def most_output(self, maximum: int) -> int:
        """The maximum output tokens, with a model's maximum for any answer."""
        return ceil(maximum * self.output_share)


def written_in(concept: Concept, learner: Learner) -> str:
    """The language of the templates and of offline drafts, which exist in English and Chinese: the requested
    one, or that of the concept's texts. English replaces all others.
    """
    spoken = learner.language.lower().split("-")[0]
    if not spoken:
        texts = concept.name, concept.description, concept.module, concept.stage, *learner.course.values()
        spoken = language_of("\n".join(texts))
    return spoken if spoken in LANGUAGES else "en"


def prompt_for(
    concept: Concept,
    content_type: ContentType,
    learner: Learner,
    refused: str | None = None,
    templates: Path | None = None,
    change: Change | None = None,
) -> Prompt:
    """The prompt for an item. `refused`: why the item's earlier content was refused. `templates`: a folder
    with templates in place of those with the same path in the package `content`. `change`: how a saved
    content is to be changed.
    """
    tag, written = learner.language, written_in(concept, learner)
    language = LANGUAGES.get(tag.lower(), tag) or _OF_THE_COURSE[written]
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
    if learner.course:
        data["texts_of_the_course"] = learner.course
    if refused is not None:
        data["avoid_this_fault_of_an_earlier_answer"] = {"fault": refused}
    parts: Document = {name: _fitting(section) for name, section in data.items()}
    systems = [_template(f"generation/system.{written}.md", templates)]
    if change is not None:  # both whole: what is cut off would be lost (an instruction fits into MAX_TEXT)
        parts |= {"instruction": _clean(change.instruction, 0), "present_content": change.present or {}}
        systems.append(_template(f"generation/change.{written}.md", templates))
    fitting = encoded(parts)
    template = _template(f"{content_type}/prompt.{written}.md", templates)
    return Prompt(
        system="\n".join(system.substitute(language=language) for system in systems),
        user=template.substitute(language=language, data=fitting),
        tool=f"hand_in_{content_type}",
        description=f"Hands in the {content_type}.",
        schema=schema_of(content_type),
        version=_version(
            f"{written}/{content_type}", *(system.template for system in systems), template.template
        ),
        output_share=CONTENT_KINDS[content_type].output_share,
    )


def encoded(data: object) -> str:
    """Foreign data as JSON that cannot close a tag, without invisible characters."""
    text = json.dumps(data, ensure_ascii=False, indent=1)
    return _UNSENDABLE.sub("\ufffd", text).translate(_ESCAPES)


def _fitting(section: Mapping[str, object]) -> Document:
    """The cleaned entries of a section that fit into `MAX_SECTION`."""
    fitting: Document = {}
    room = MAX_SECTION
    for key, value in section.items():
        entry = {_clean(key, 0): _clean(value, MAX_DEPTH)}
        size = len(encoded(entry))
        if size <= room:
            fitting |= entry
            room -= size
    return fitting


def _clean(value: Any, depth: int) -> Any:  # noqa: ANN401 - any JSON value
    """A value with texts that can be sent, cut to `MAX_TEXT`; `None` for what is nested below `depth`."""
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
def _template(path: str, templates: Path | None) -> Template:
    """The template with this path in the folder `templates`, or else in the package `content`."""
    packaged = files(content.__name__) / path
    file = templates / path if templates is not None and (templates / path).exists() else packaged
    return Template(file.read_text("utf-8"))


@cache
def _version(name: str, *texts: str) -> str:
    return f"{name}@{hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:12]}"


@cache
def schema_of(content_type: ContentType) -> Document:
    """The JSON schema of a content type's draft, from its pydantic model. References are inlined, and the
    root has only `type`, `properties` and `required`, because models differ in their support for JSON Schema.
    """
    schema = CONTENT_KINDS[content_type].draft.model_json_schema()
    root = _inlined(schema, schema.get("$defs", {}))
    return {key: root[key] for key in ("type", "properties", "required")}


def _inlined(node: Any, definitions: Document) -> Any:  # noqa: ANN401 - any part of a schema
    """A part of a schema with its references replaced by their definitions."""
    match node:
        case {"$ref": str(reference)}:
            return _inlined(definitions[reference.removeprefix("#/$defs/")], definitions)
        case dict():
            return {key: _inlined(value, definitions) for key, value in node.items()}
        case list():
            return [_inlined(value, definitions) for value in node]
    return node


class PromptedModel:
    """The part of a `Model` that is asked with these prompts and answers with drafts."""

    max_output: int
    """Maximum output tokens of an answer."""

    prompts: Path | None = None
    """A folder with changed templates; see `prompt_for`."""

    def question(self, request: GenerationRequest) -> Prompt:
        """The prompt for an item."""
        parts = request.concept, request.content_type, request.learner, request.refused
        return prompt_for(*parts, self.prompts, request.change)

    def need(self, prompt: Prompt, rejected: Rejected | None) -> Need:
        """The most tokens that a call may use."""
        most_output = prompt.most_output(self.max_output)
        if rejected is None or rejected.answer.usage is None:
            return Need(prompt.most_tokens, most_output)
        # A correction sends the former question and answer, which were counted, and the fault.
        return Need(rejected.answer.usage.total + len(rejected.fault.encode()), most_output)

    def read(self, request: GenerationRequest, answer: Answer) -> Document:
        """The draft of an answer; see `read_draft`."""
        return read_draft(request.content_type, answer.output).model_dump(mode="json")


def read_draft(content_type: ContentType, output: object) -> Draft:
    """Validate a model's output as a draft.
    Raises InvalidContentError: the output is not a draft, or a learner could not use it. The message names
    the first fault and its path, so that the model can correct it.
    """
    if fault := unstorable(output):
        raise InvalidContentError(fault)
    try:
        draft = CONTENT_KINDS[content_type].draft.model_validate(output)
    except ValidationError as error:
        raise InvalidContentError(first_fault(error)) from error
    if fault := draft.fault():
        raise InvalidContentError(fault)
    return draft
