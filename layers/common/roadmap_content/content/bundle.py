"""Parse a bundle: one JSON document with a roadmap, its task and its generated content.

An invalid bundle is rejected as a whole with an `InvalidBundleError`; the message contains the path of the
first error.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from ..contracts.documents import MAX_STAGED, Document, unstorable
from ..contracts.errors import InvalidBundleError, InvalidContentError, InvalidFrameworkError
from ..contracts.items import ContentType, Item
from ..contracts.payloads import TASK_ID, first_fault
from .registry import CONTENT_KINDS
from .roadmaps.framework import read_framework

_Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class BundleRoadmap(BaseModel):
    """A row of `roadmap_metadata`. Hours and weeks are estimates for the learner."""

    model_config = ConfigDict(strict=True, frozen=True)

    roadmap_id: Annotated[str, StringConstraints(min_length=1)]
    user_id: _Id
    title: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    total_estimated_hours: float
    recommended_completion_weeks: int
    framework_data: dict[str, Any]


class BundleTask(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    task_id: Annotated[str, StringConstraints(pattern=TASK_ID)]
    user_id: _Id
    roadmap_id: str


class _Document(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    roadmap: BundleRoadmap
    task: BundleTask
    content: list[dict[str, Any]]


class InvalidItem(NamedTuple):
    """Content of a bundle that is not valid."""

    concept_id: object
    content_type: ContentType | None
    fault: str
    """The path in the bundle, and the reason."""

    content: object = None
    item: Item | None = None
    """Set if the content can be staged nevertheless, so that a run records why it is invalid."""


@dataclass(frozen=True)
class Bundle:
    """A bundle. `content` holds each valid item unchanged."""

    roadmap: BundleRoadmap
    task: BundleTask
    content: dict[Item, Document]
    invalid: Sequence[InvalidItem] = ()


def parse_bundle(body: bytes, *, strict: bool = True, name: str = "the bundle") -> Bundle:
    """Parse a bundle from JSON. With `strict`, the bundle is refused if any item is invalid. `name` is for
    messages.

    Raises:
        InvalidBundleError: the body is not JSON or not a valid bundle.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidBundleError(f"{name} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InvalidBundleError(f"{name} is not a JSON object with roadmap, task and content")
    return read_bundle(document, strict=strict)


def read_bundle(document: object, *, strict: bool = True) -> Bundle:
    """Validate a decoded bundle; see `parse_bundle`."""
    if fault := unstorable(document if strict else _without_content(document)):
        raise InvalidBundleError(fault)
    try:
        bundle = _Document.model_validate(document)
    except ValidationError as error:
        raise InvalidBundleError(first_fault(error)) from error
    if bundle.task.roadmap_id != bundle.roadmap.roadmap_id:
        raise InvalidBundleError("task.roadmap_id is not roadmap.roadmap_id")
    if bundle.task.user_id != bundle.roadmap.user_id:
        raise InvalidBundleError("task.user_id is not roadmap.user_id")
    try:
        concept_ids = read_framework(bundle.roadmap.framework_data).nodes.keys()
    except InvalidFrameworkError as error:
        raise InvalidBundleError(f"roadmap.{error}") from error
    content, invalid = _read_content(bundle.content, concept_ids)
    if strict and invalid:
        raise InvalidBundleError(invalid[0].fault)
    return Bundle(bundle.roadmap, bundle.task, content, invalid)


def _without_content(document: object) -> object:
    match document:
        case dict():
            return {key: value for key, value in document.items() if key != "content"}
        case _:
            return document


def _read_content(
    entries: Sequence[dict[str, Any]], concept_ids: Collection[str]
) -> tuple[dict[Item, Document], list[InvalidItem]]:
    content: dict[Item, Document] = {}
    invalid: list[InvalidItem] = []
    for index, entry in enumerate(entries):
        path = f"content[{index}]"
        concept_id = entry.get("concept_id")
        if not isinstance(concept_id, str) or concept_id not in concept_ids:
            fault = f"{path}.concept_id is not a concept of the roadmap: {concept_id!r:.80}"
            invalid.append(InvalidItem(concept_id, None, fault))
            continue
        for name in [key for key in entry if key not in {"concept_id", *CONTENT_KINDS}]:
            fault = f"{path}.{name:.80} is not a content type"
            invalid.append(InvalidItem(concept_id, None, fault))
        for content_type, kind in CONTENT_KINDS.items():
            if content_type not in entry:
                continue
            item, document = Item(concept_id, content_type), entry[content_type]
            if item in content:
                fault = f"{path}.{content_type} is given twice for {concept_id!r:.80}"
                invalid.append(InvalidItem(concept_id, content_type, fault))
                continue
            try:
                checked = kind.check(document)
            except InvalidContentError as error:
                fault = f"{path}.{content_type}.{error}"
                invalid.append(InvalidItem(concept_id, content_type, fault, document, item))
                continue
            if (size := len(json.dumps(document))) > MAX_STAGED:
                fault = f"{path}.{content_type} has {size} bytes; {MAX_STAGED} are accepted"
                invalid.append(InvalidItem(concept_id, content_type, fault, document, item))
                continue
            content[item] = checked
    return content, invalid
