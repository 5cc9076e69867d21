"""Parse a bundle: one JSON document with a roadmap, its task and its generated content.

An invalid bundle is rejected as a whole with an `InvalidBundleError` that names the path of the first error.
"""

import json
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from .content.registry import CONTENT_KINDS
from .contracts import first_fault
from .documents import Document, unstorable
from .errors import InvalidBundleError, InvalidContentError, InvalidFrameworkError
from .items import Item
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
    """A row of `roadmap_tasks`."""

    model_config = ConfigDict(strict=True, frozen=True)

    task_id: _Id
    user_id: _Id
    roadmap_id: str


class _Document(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    roadmap: BundleRoadmap
    task: BundleTask
    content: list[dict[str, Any]]


@dataclass(frozen=True)
class Bundle:
    """A valid bundle. `content` holds each item unchanged."""

    roadmap: BundleRoadmap
    task: BundleTask
    content: dict[Item, Document]


def parse_bundle(body: bytes) -> Bundle:
    """Parse a bundle from JSON.

    Raises:
        InvalidBundleError: the body is not JSON or not a valid bundle.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InvalidBundleError(f"not JSON: {error}") from error
    return read_bundle(document)


def read_bundle(document: object) -> Bundle:
    """Validate a decoded bundle; see `parse_bundle`."""
    if fault := unstorable(document):
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
    content: dict[Item, Document] = {}
    for index, entry in enumerate(bundle.content):
        path = f"content[{index}]"
        concept_id = entry.get("concept_id")
        if concept_id not in concept_ids:
            raise InvalidBundleError(f"{path}.concept_id is not a concept of the roadmap: {concept_id!r:.80}")
        for content_type, kind in CONTENT_KINDS.items():
            item = Item(concept_id, content_type)
            if content_type not in entry:
                continue
            if item in content:
                raise InvalidBundleError(f"{path}.{content_type} is given twice for {concept_id!r:.80}")
            try:
                content[item] = kind.check(entry[content_type])
            except InvalidContentError as error:
                raise InvalidBundleError(f"{path}.{content_type}.{error}") from error
    return Bundle(bundle.roadmap, bundle.task, content)
