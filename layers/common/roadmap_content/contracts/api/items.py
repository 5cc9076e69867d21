"""The answers about the items of a task, and about their saved content: its text, revisions and origin."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, Field

from ..items import ContentType, Stage
from ..payloads import Count, Payload, reason_for_owner
from ..states import ItemState, NextAction

Generator = Annotated[
    str | None,
    Field(
        description="`product` for content that the product staged, `offline`, `bedrock` or `function`; "
        "null if it is unknown: the content was saved before origins were recorded, or the product wrote "
        "the row itself."
    ),
]

PromptVersion = Annotated[str | None, Field(description="The name of the prompt, and a hash of its files.")]


class ItemOrigin(Payload):
    """How a content came to be."""

    generator: Generator
    model_id: str | None
    prompt_version: PromptVersion
    tokens_in: Count | None
    tokens_out: Count | None
    task_id: str | None
    attempt: Annotated[Count | None, Field(description="The attempt that saved the content.")]
    actor: Annotated[str | None, Field(description="Who started the attempt, or restored the content.")]
    reason: Annotated[str | None, Field(description="Why the content was restored.")]
    instruction: Annotated[
        str | None,
        Field(description="How the attempt changed the content before; to owners, only what they wrote."),
    ]
    restored_from: Annotated[
        str | None, Field(description="The `content_id` of the revision that was restored.")
    ]
    recorded_at: AwareDatetime | None

    def for_owner(self) -> Self:
        """Without the texts that an operator wrote."""
        texts = {"reason": self.reason, "instruction": self.instruction}
        shown = {name: reason_for_owner(self.actor, text) for name, text in texts.items()}
        return self.model_copy(update=shown)


class OriginCount(Payload):
    """The number of items of one content type that one model wrote with one prompt."""

    generator: Generator
    model_id: str | None
    prompt_version: PromptVersion
    content_type: ContentType
    saved: Annotated[Count, Field(description="Items whose current content has this origin.")]
    refused: Annotated[Count, Field(description="Contents that were refused because of the content itself.")]


class OriginCounts(Payload):
    """The counts of all origins."""

    items: list[OriginCount]


class Revision(Payload):
    """A current or former content of an item."""

    revision_id: Annotated[str, Field(description="The id for `restore` and `revision_id` of the content.")]
    content_id: Annotated[str | None, Field(description="The id of the content itself.")]
    current: bool
    version: Annotated[int | None, Field(description="A tutorial's version.")]
    generated_at: AwareDatetime | None
    replaced_at: Annotated[
        AwareDatetime | None,
        Field(description="When the content left its table; null for the rows of the content table."),
    ]
    reason: Annotated[str | None, Field(description="Why the content left its table.")]
    size: Annotated[
        Count | None, Field(description="Bytes of the text, of the resources or of the questions.")
    ]
    origin: ItemOrigin | None


class Revisions(Payload):
    """The newest revisions of an item: first the rows of the content table, then the archived ones."""

    items: list[Revision]

    def for_owner(self) -> Self:
        """Without the reasons that operators wrote."""
        items = [
            revision.model_copy(update={"origin": revision.origin and revision.origin.for_owner()})
            for revision in self.items
        ]
        return self.model_copy(update={"items": items})


class RestoreAnswer(Payload):
    """The answer to a restore."""

    success: bool = True
    task_id: str
    concept_id: str
    content_type: ContentType
    restored: Annotated[bool, Field(description="False: the item has this content already.")]
    content_id: Annotated[str | None, Field(description="The id of the current content.")]
    version: Annotated[int | None, Field(description="A tutorial's current version.")]


MOST_TEXT_BYTES, MOST_ENCODED_BYTES = 1_000_000, 5_000_000
"""Bytes of a text that an answer contains, as it is stored and with escaping. A Lambda response is limited to
6 MB."""

LINK_SECONDS = 300


class SavedItem(Payload):
    """The saved content of an item."""

    concept_id: str
    content_type: ContentType
    generated_at: AwareDatetime | None
    content: Annotated[
        dict[str, Any],
        Field(
            description="The fields of the content's schema (docs/schemas). `markdown` is a tutorial's text."
        ),
    ]
    content_link: Annotated[
        str | None,
        Field(
            description=f"Where to read a text of more than {MOST_TEXT_BYTES:,} bytes, or of more than "
            f"{MOST_ENCODED_BYTES:,} bytes in an answer: a link that is valid for {LINK_SECONDS} seconds. "
            "`content` then has no `markdown`."
        ),
    ] = None


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
    items: Count
    by_type: Mapping[ContentType, Count]
    """The items by content type, only types with any."""


FAILED = "failed"
"""In the map, the state of an item that failed in the current attempt. The detail of an item lists its
failures; the next attempt begins with its `ItemState`.
"""

LETTERS: Mapping[str, str] = {
    ItemState.SAVED: "S",
    ItemState.STAGED: "T",
    ItemState.MISSING: "M",
    ItemState.REJECTED: "R",
    ItemState.GENERATING: "G",
    FAILED: "F",
}
"""The letter of each state in the map of a task, which has up to 9,000 items and is polled."""


class ItemMap(Payload):
    """The items of a page of concepts.

    Each concept of the page has a letter for each content type, in the order of the types:
    S saved, T staged, M missing, R rejected, G generating, F failed in the current attempt.
    """

    task_id: str
    roadmap_id: str | None
    concepts: Count
    """All concepts of the roadmap."""

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
    occurred_at: AwareDatetime


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
    generated_at: AwareDatetime | None
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
    failures: list[ItemFailure]
    staged: StagedContent | None
    rejected: list[RejectedContent]
    saved: SavedContent | None

    def for_owner(self) -> Self:
        """Without a reason that an operator wrote."""
        if self.saved is None or self.saved.origin is None:
            return self
        saved = self.saved.model_copy(update={"origin": self.saved.origin.for_owner()})
        return self.model_copy(update={"saved": saved})
