"""`GET /api/v1/origins`: how many items each model and prompt wrote; and the origin of one content."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import Field
from sqlalchemy import Connection

from ..content.origin_records import origin_of
from ..content.rows import count_origins
from ..contracts.items import ContentType, Item
from ..contracts.payloads import Count, Payload
from ..platform.postgres.times import utc

Generator = Annotated[
    str | None,
    Field(
        description="`product` for content that the product staged, `offline` or `bedrock`; null if it is "
        "unknown: the content was saved before origins were recorded, or the product wrote the row itself."
    ),
]
PromptVersion = Annotated[str | None, Field(description="The name of the prompt, and a hash of its files.")]


class ItemOrigin(Payload):
    """How a content came to be."""

    generator: Generator
    model_id: str | None
    prompt_version: PromptVersion
    service_tier: str | None
    tokens_in: Count | None
    tokens_out: Count | None
    content_fingerprint: str | None
    task_id: str | None
    attempt: Annotated[Count | None, Field(description="The attempt that saved the content.")]
    actor: Annotated[str | None, Field(description="Who started the attempt, or restored the content.")]
    reason: Annotated[str | None, Field(description="Why the content was restored.")]
    restored_from: Annotated[
        str | None, Field(description="The `content_id` of the revision that was restored.")
    ]
    recorded_at: datetime | None

    @classmethod
    def read(cls, connection: Connection, roadmap_id: str, item: Item, content_id: str) -> Self | None:
        """The origin of an item's content; `None` if none was recorded."""
        origin = origin_of(connection, roadmap_id, item, content_id)
        if origin is None:
            return None
        return cls.model_validate({**origin, "recorded_at": utc(origin["recorded_at"])})


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


def read_origin_counts(connection: Connection) -> OriginCounts:
    """Count the current items, and the refused contents, of each origin."""
    return OriginCounts(
        items=[OriginCount.model_validate(dict(row._mapping)) for row in count_origins(connection)]  # noqa: SLF001
    )
