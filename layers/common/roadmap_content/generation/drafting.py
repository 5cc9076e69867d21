"""The schema of a draft that a model must fill in, and the checks of its output."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from ..content.kind import Draft
from ..content.quiz import QuestionDraft, QuizDraft
from ..content.registry import CONTENT_KINDS
from ..content.resources import ResourcesDraft
from ..content.tutorial import TutorialDraft
from ..contracts import first_fault
from ..documents import Document, unstorable
from ..errors import InvalidContentError
from ..items import ContentType

# Publicly resolvable host names: no IP address, no `localhost`, no single-label name.
_PUBLIC_HOST = re.compile(r"([^\W_]([\w-]*[^\W_])?\.)+([^\W\d_]{2,}|xn--[a-z0-9-]+)")


def schema_of(content_type: ContentType) -> Document:
    """The JSON schema of a content type's draft, from its pydantic model.

    References are inlined, and the root has only `type`, `properties` and `required`, because models differ
    in their support for JSON Schema.
    """
    schema = CONTENT_KINDS[content_type].draft.model_json_schema()
    root = _inlined(schema, schema.get("$defs", {}))
    return {key: root[key] for key in ("type", "properties", "required")}


# From the documentation of structured outputs: every object is closed, and these keywords are not accepted.
_NOT_STRICT = frozenset({"minLength", "maxLength", "pattern", "minimum", "maximum", "maxItems"})


def strict_schema(node: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """A schema in the subset that a strict tool accepts. `read_draft` checks what it does not express."""
    match node:
        case {"type": "object", "properties": dict(properties)}:
            strict = {name: strict_schema(each) for name, each in properties.items()}
            return node | {"properties": strict, "additionalProperties": False}
        case dict():
            return {
                key: min(value, 1) if key == "minItems" else strict_schema(value)
                for key, value in node.items()
                if key not in _NOT_STRICT
            }
        case _:
            return node


def _inlined(node: Any, definitions: Document) -> Any:  # noqa: ANN401 - any part of a schema
    match node:
        case {"$ref": str(reference)}:
            return _inlined(definitions[reference.removeprefix("#/$defs/")], definitions)
        case dict():
            return {key: _inlined(value, definitions) for key, value in node.items()}
        case list():
            return [_inlined(value, definitions) for value in node]
    return node


def read_draft(content_type: ContentType, output: object) -> Draft:
    """Validate a model's output as a draft.

    Raises:
        InvalidContentError: the output is not a draft, or a learner could not use it. The message names the
            first fault and its path, so that the model can correct it.
    """
    if fault := unstorable(output):
        raise InvalidContentError(fault)
    try:
        draft = CONTENT_KINDS[content_type].draft.model_validate(output)
    except ValidationError as error:
        raise InvalidContentError(first_fault(error)) from error
    if fault := _unusable(draft):
        raise InvalidContentError(fault)
    return draft


def _unusable(draft: Draft) -> str | None:
    """Describe the first fault of a well-formed draft that makes it unusable; `None` if there is none."""
    match draft:
        case TutorialDraft():
            blank = [name for name in ("title", "summary", "markdown") if not getattr(draft, name).strip()]
            return f"{blank[0]} is blank" if blank else None
        case ResourcesDraft():
            return _unusable_resources(draft)
        case QuizDraft():
            faults = (_unusable_question(index, each) for index, each in enumerate(draft.questions))
            return next(filter(None, faults), None) or _repeated(
                "questions[].question_id", [question.question_id for question in draft.questions]
            )
    return None


def _unusable_resources(draft: ResourcesDraft) -> str | None:
    if not draft.resources:
        return "resources is empty"
    for index, resource in enumerate(draft.resources):
        if fault := _malformed(resource.url):
            return f"resources[{index}].url {fault}"
        if not 0 <= resource.relevance_score <= 1:
            return f"resources[{index}].relevance_score is not between 0 and 1"
    return _repeated("resources[].url", [resource.url for resource in draft.resources])


def _malformed(url: str) -> str | None:
    """Describe a syntax fault of a URL; `None` if there is none. The URL is never fetched."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError for an invalid port
    except ValueError as error:
        return f"is not a URL: {error}"
    if parts.scheme not in ("http", "https"):
        return "does not begin with http:// or https://"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or a password"
    if not _PUBLIC_HOST.fullmatch(parts.hostname or ""):
        return "does not name a public host"
    return None


def _unusable_question(index: int, question: QuestionDraft) -> str | None:
    place, answers = f"questions[{index}]", question.correct_answer
    if question.question_type != "multiple_choice" and len(answers) != 1:
        return f"{place}.correct_answer of a {question.question_type} question must hold one index"
    if question.question_type == "true_false" and len(question.options) != 2:
        return f"{place}.options of a true_false question must be two"
    if not all(option.strip() for option in question.options):
        return f"{place}.options holds a blank one"
    return _repeated(f"{place}.options", question.options) or _repeated(f"{place}.correct_answer", answers)


def _repeated(place: str, values: Sequence[object]) -> str | None:
    value, times = Counter(values).most_common(1)[0]
    return f"{place} holds {value!r} more than once" if times > 1 else None
