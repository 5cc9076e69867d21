"""Parse a bundle: one JSON document with a roadmap, its task and its generated content.

An invalid bundle is rejected as a whole with an `InvalidBundleError`, which names the first error's path.
Other keys, such as the `origins` of an export, are ignored.
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


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class BundleRoadmap(_Part):
    """A row of `roadmap_metadata`. Hours and weeks are estimates for the learner."""

    roadmap_id: Annotated[str, StringConstraints(min_length=1)]
    user_id: _Id
    title: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    total_estimated_hours: float | None
    recommended_completion_weeks: int | None
    framework_data: dict[str, Any]


class BundleTask(_Part):
    task_id: Annotated[str, StringConstraints(pattern=TASK_ID)]
    user_id: _Id
    roadmap_id: str
    user_request: dict[str, Any] = {}


class _Document(_Part):
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
    """Parse a bundle from JSON. With `strict`, it is refused if any item is invalid; otherwise these are in
    `invalid`. `name` is for messages.
    Raises InvalidBundleError: the body is not JSON or not a valid bundle.
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
    checked = document
    if isinstance(document, dict) and not strict:  # `_read_content` checks each content by itself
        checked = {key: value for key, value in document.items() if key != "content"}
    if fault := unstorable(checked):
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


def _read_content(
    entries: Sequence[dict[str, Any]], concept_ids: Collection[str]
) -> tuple[dict[Item, Document], list[InvalidItem]]:
    """The valid contents of the entries, and the invalid ones with their faults."""
    content: dict[Item, Document] = {}
    invalid: list[InvalidItem] = []
    for index, entry in enumerate(entries):
        path = f"content[{index}]"
        concept_id = entry.get("concept_id")
        if not isinstance(concept_id, str) or concept_id not in concept_ids:
            unknown = f"{path}.concept_id is not a concept of the roadmap: {concept_id!r:.80}"
            invalid.append(InvalidItem(concept_id, None, unknown))
            continue
        invalid += [
            InvalidItem(concept_id, None, f"{path}.{name:.80} is not a content type")
            for name in entry
            if name not in {"concept_id", *CONTENT_KINDS}
        ]
        for content_type in CONTENT_KINDS:
            if content_type not in entry:
                continue
            item, document = Item(concept_id, content_type), entry[content_type]
            place = f"{path}.{content_type}"
            if item in content:
                twice = f"{place} is given twice for {concept_id!r:.80}"
                invalid.append(InvalidItem(concept_id, content_type, twice))
            elif fault := _fault(content_type, document):
                invalid.append(InvalidItem(concept_id, content_type, f"{place}{fault}", document, item))
            else:
                content[item] = document
    return content, invalid


def _fault(content_type: ContentType, document: object) -> str | None:
    """Why a content is not valid, to be appended to its path; `None` if it is."""
    try:
        CONTENT_KINDS[content_type].check(document)
    except InvalidContentError as error:
        return f".{error}"
    size = len(json.dumps(document))  # of ASCII: bytes
    return f" has {size} bytes; {MAX_STAGED} are accepted" if size > MAX_STAGED else None
