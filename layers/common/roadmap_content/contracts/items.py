"""An item: one (concept, content type) pair."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, NamedTuple, Self

from .documents import storable_text


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


REJECTED_BY_CHECK, REFUSED_BY_GENERATOR = "Check.", "Generator."
"""The beginnings of the codes that functions of the team have named: its check of contents, its generator."""

MAX_REASON = 500
"""Maximum characters of a reason, so that content is not copied into it."""

MAX_INSTRUCTION = 2_000
"""Maximum characters of an instruction to change a content. A prompt has all of it."""


class _Failure(NamedTuple):
    item: Item
    stage: Stage
    error_code: str
    reason: str
    transient: bool
    content_fingerprint: str | None = None
    """The fingerprint of the refused content, if the content itself was the cause."""


class Failure(_Failure):
    """The reason why an item is missing after one attempt. Code and reason may come from outside, and are as
    they are stored, so that results from them equal results from the table.
    """

    __slots__ = ()

    def __new__(
        cls,
        item: Item,
        stage: Stage,
        error_code: str,
        reason: str,
        transient: bool,
        content_fingerprint: str | None = None,
    ) -> Self:
        code, reason = storable_text(error_code[:MAX_REASON]), storable_text(reason[:MAX_REASON])
        return super().__new__(cls, item, stage, code, reason, transient, content_fingerprint)

    @property
    def why(self) -> dict[str, Any]:
        """Stage, code and reason, as the records of the item state them."""
        return {"stage": self.stage, "error_code": self.error_code, "reason": self.reason}

    @property
    def for_others(self) -> Self:
        """The failure as groups, events and logs state it. A reason that a function of the team wrote is
        content of a user: only the records of the item have it.
        """
        if self.error_code.startswith(REJECTED_BY_CHECK):
            return self._replace(reason="the product's check has refused the content")
        if self.error_code.startswith(REFUSED_BY_GENERATOR):
            return self._replace(reason="the team's generator has refused the item")
        return self


RecordedFailure = tuple[int, Failure]
"""A failure with the number of the attempt that recorded it."""


def count_by_type(items: Iterable[Item]) -> dict[ContentType, int]:
    """Count items per content type. Every content type is a key, also with a count of 0."""
    counts = dict.fromkeys(ContentType, 0)
    for item in items:
        counts[item.content_type] += 1
    return counts
