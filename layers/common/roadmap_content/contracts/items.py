"""An item: one (concept, content type) pair."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple


class ContentType(StrEnum):
    """The kinds of content that a concept has."""

    TUTORIAL = "tutorial"
    RESOURCES = "resources"
    QUIZ = "quiz"


class Stage(StrEnum):
    """The step in which an item failed."""

    GENERATE = "generate"
    SAVE = "save"
    WORKFLOW = "workflow"


class Item(NamedTuple):
    """One (concept, content type) pair: the unit of generating, saving, retrying and counting."""

    concept_id: str
    content_type: ContentType


class Failure(NamedTuple):
    """The reason why an item is missing after one attempt."""

    item: Item
    stage: Stage
    error_code: str
    reason: str
    transient: bool
    content_fingerprint: str | None = None
    """The fingerprint of the refused content, if the content itself was the cause."""

    @property
    def why(self) -> dict[str, Any]:
        """Stage, code and reason, as events, logs and `failed_concepts` state them."""
        return {"stage": self.stage, "error_code": self.error_code, "reason": self.reason}


RecordedFailure = tuple[int, Failure]
"""A failure with the number of the attempt that recorded it."""


def count_by_type(items: Iterable[Item]) -> dict[ContentType, int]:
    """Count items per content type. Every content type is a key, also with a count of 0."""
    counts = dict.fromkeys(ContentType, 0)
    for item in items:
        counts[item.content_type] += 1
    return counts
