"""Write and read the origins of contents."""

import json
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, text

from ..contracts.items import Failure, Item
from ..contracts.origin import Origin
from .origins import OF_CONTENT, RECORD_REFUSED, RECORD_RESTORED


def record_refused(
    connection: Connection,
    roadmap_id: str,
    task_id: str,
    attempt: int,
    refused: Collection[tuple[Failure, Origin]],
) -> None:
    """Record the origins of contents that an attempt refused."""
    if not refused:
        return
    rows = [
        origin.model_dump()
        | failure.item._asdict()
        | {"refused_code": failure.error_code, "content_fingerprint": failure.content_fingerprint}
        for failure, origin in refused
    ]
    subject = {"roadmap_id": roadmap_id, "task_id": task_id, "attempt": attempt}
    connection.execute(text(RECORD_REFUSED), subject | {"refused": json.dumps(rows)})


def record_restored(
    connection: Connection,
    roadmap_id: str,
    item: Item,
    content_id: str,
    restored_from: str,
    actor: str,
    reason: str | None,
) -> None:
    """Record that a content is a restored one, by whom and why."""
    parameters = {
        "roadmap_id": roadmap_id,
        **item._asdict(),
        "content_id": content_id,
        "restored_from": restored_from,
        "actor": actor,
        "reason": reason,
    }
    connection.execute(text(RECORD_RESTORED), parameters)


def origin_of(
    connection: Connection, roadmap_id: str, item: Item, content_id: str
) -> Mapping[str, Any] | None:
    """The origin of an item's content; `None` if none was recorded. Times are UTC without a time zone."""
    parameters = {"roadmap_id": roadmap_id, "content_id": content_id, **item._asdict()}
    row = connection.execute(text(OF_CONTENT), parameters).first()
    return None if row is None else dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name
