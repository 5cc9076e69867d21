"""`GET /api/v1/origins`: how many items each model and prompt wrote; and the origin of one content."""

from sqlalchemy import Connection

from ..content.revision_records import origin_of
from ..content.rows import count_origins
from ..contracts.api.content import ItemOrigin, OriginCount, OriginCounts
from ..contracts.items import Item
from ..contracts.times import utc


def read_origin(connection: Connection, roadmap_id: str, item: Item, content_id: str) -> ItemOrigin | None:
    """The origin of an item's content; `None` if none was recorded."""
    origin = origin_of(connection, roadmap_id, item, content_id)
    if origin is None:
        return None
    return ItemOrigin.model_validate({**origin, "recorded_at": utc(origin["recorded_at"])})


def read_origin_counts(connection: Connection) -> OriginCounts:
    """Count the current items, and the refused contents, of each origin."""
    return OriginCounts(
        items=[OriginCount.model_validate(dict(row._mapping)) for row in count_origins(connection)]  # noqa: SLF001
    )
