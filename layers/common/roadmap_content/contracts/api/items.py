"""The answers about the items of a task."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import Field

from ..items import ContentType, Stage
from ..payloads import Count, Payload
from ..states import ItemState, NextAction
from ..times import UtcTime
from .content import ItemOrigin

DEFAULT_CONCEPTS, MAX_CONCEPTS = 1_000, 3_000


class ModuleMap(Payload):
    """One module, with its concepts as `[concept_id, name]`."""

    name: str
    concepts: list[tuple[str, str]]


class StageMap(Payload):
    """One stage."""

    name: str
    modules: list[ModuleMap]


class ReasonRow(Payload):
    """A reason that items of the task share, with the next attempt's action."""

    error_code: str
    sentence: str | None
    stage: Stage
    reason: str
    remedy: NextAction
    remedy_text: str
    needs_person: bool
    items: Count
    by_type: Mapping[ContentType, Count]
    """The items by content type, only types with any."""


class ItemMap(Payload):
    """The items of a page of concepts.

    Each concept of the page has a letter for each content type, in the order of the types:
    S saved, T staged, M missing, R rejected, G generating, F failed in the current attempt.
    """

    task_id: str
    roadmap_id: str | None
    concepts: Count
    """All concepts of the roadmap."""

    first_concept: Count
    """The index of the page's first concept among them."""

    stages: list[StageMap] | None
    states: str
    reasons: list[ReasonRow]
    reason_of: list[tuple[int, int]]
    """`[index in states, index in reasons]` of each item with a recorded failure."""

    next_cursor: str | None


MAX_TEXT_BYTES = 200_000
"""Bytes of staged or rejected content that an answer contains."""


class ItemFailure(Payload):
    """Why the item failed in one attempt."""

    attempt: Count
    stage: Stage
    error_code: str
    sentence: str | None
    reason: str
    transient: bool
    occurred_at: UtcTime


class StagedContent(Payload):
    """Staged content, which may be saved already."""

    size: Count
    stored_at: datetime
    fingerprint: str
    text: str | None = Field(
        description="The content as it is stored, of an item that is not saved, up to "
        f"{MAX_TEXT_BYTES:,} bytes."
    )


class RejectedContent(Payload):
    """Content that an attempt refused because of the content itself. It is kept for inspection."""

    key: str
    attempt: Count
    error_code: str | None
    reason: str | None
    size: Count
    stored_at: datetime
    text: str | None = Field(
        description=f"The content as it is stored, up to {MAX_TEXT_BYTES:,} bytes; only of the latest."
    )


class SavedContent(Payload):
    """The item's row."""

    id: str
    version: int | None
    generated_at: UtcTime | None
    origin: Annotated[
        ItemOrigin | None,
        Field(
            description="How the content came to be; null if it was saved before origins were recorded, or "
            "if the product wrote the row itself."
        ),
    ]


class ItemDetail(Payload):
    """One item."""

    concept_id: str
    name: str
    content_type: ContentType
    stage: str
    module: str
    state: ItemState
    next_action: NextAction
    next_action_text: str
    needs_person: bool
    failures: list[ItemFailure]
    staged: StagedContent | None
    rejected: list[RejectedContent]
    saved: SavedContent | None
