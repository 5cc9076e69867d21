"""The unit of everything: one item is one (concept, content type)."""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class ContentType(StrEnum):
    """What is generated for a concept."""

    TUTORIAL = "tutorial"
    RESOURCES = "resources"
    QUIZ = "quiz"


class Stage(StrEnum):
    """Where an item was lost."""

    GENERATE = "generate"
    SAVE = "save"
    WORKFLOW = "workflow"


class Item(NamedTuple):
    """One (concept, content type): the unit that is generated, saved, missed, retried and counted."""

    concept_id: str
    content_type: ContentType


class Failure(NamedTuple):
    """Why an item is missing, as one attempt saw it."""

    item: Item
    stage: Stage
    error_code: str
    reason: str
    transient: bool
    content_fingerprint: str | None = None
    """Which staged content was refused, where it was refused for what it is."""


RecordedFailure = tuple[int, Failure]
"""A failure with the number of the attempt that recorded it."""


def count_by_type(items: Iterable[Item]) -> dict[ContentType, int]:
    """Count items per content type; every content type is a key, also at 0."""
    counts = dict.fromkeys(ContentType, 0)
    for item in items:
        counts[item.content_type] += 1
    return counts
