"""What a model is asked to fill in, and what is accepted of what it did: the drafts of the content types."""

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

# Names that the public can resolve: no address, no `localhost`, no name of one label.
_PUBLIC_HOST = re.compile(r"([^\W_]([\w-]*[^\W_])?\.)+([^\W\d_]{2,}|xn--[a-z0-9-]+)")


def schema_of(content_type: ContentType) -> Document:
    """The JSON schema of a content type's draft, from its model.

    Definitions stand where they are used, and the root holds nothing but type, properties and required:
    models differ in how much more of JSON Schema they understand.
    """
    schema = CONTENT_KINDS[content_type].draft.model_json_schema()
    root = _in_place(schema, schema.get("$defs", {}))
    return {key: root[key] for key in ("type", "properties", "required")}


def _in_place(node: Any, definitions: Document) -> Any:  # noqa: ANN401 - any part of a schema
    match node:
        case {"$ref": str(reference)}:
            return _in_place(definitions[reference.removeprefix("#/$defs/")], definitions)
        case dict():
            return {key: _in_place(value, definitions) for key, value in node.items()}
        case list():
            return [_in_place(value, definitions) for value in node]
    return node


def read_draft(content_type: ContentType, output: object) -> Draft:
    """Accept what a model filled in.

    Raises:
        InvalidContentError: it is not a draft, or not one that a learner can use. The message names the
            first fault and its place, so that the model can mend it.
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
    """Say where and why a draft that has the right shape is of no use; `None` when it is of use."""
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
    """What is wrong with a URL, by its form alone: it is never fetched."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # is checked where it is read
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
