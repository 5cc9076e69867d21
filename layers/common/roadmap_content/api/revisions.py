"""The saved content of an item, and its revisions.

- `GET /api/v1/tasks/{task_id}/content/{content_type}`
- `GET /api/v1/tasks/{task_id}/items/{content_type}/revisions`
- `GET /api/v1/origins`: how many items each model and prompt wrote
"""

import hashlib
import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from ..content.registry import CONTENT_KINDS
from ..content.revision_records import origin_of, read_text, revision_content, revisions_of, text_sizes
from ..content.roadmaps.metadata import load_framework
from ..content.rows import count_origins, current_row, saved_content
from ..contracts.api.items import (
    LINK_SECONDS,
    MOST_ENCODED_BYTES,
    MOST_TEXT_BYTES,
    ItemOrigin,
    OriginCount,
    OriginCounts,
    Revision,
    Revisions,
    SavedItem,
)
from ..contracts.documents import Document
from ..contracts.errors import InvalidRequestError, ItemNotFoundError
from ..contracts.items import Item
from ..platform.postgres.transactions import transact
from ..platform.runtime.deadline import Deadline
from ..platform.storage.bucket import ObjectTooLargeError
from ..state.services import Services
from ..state.tasks.task import read_task
from .pages import encoded_size


def read_content(
    services: Services,
    task_id: str,
    user_id: str | None,
    item: Item,
    version: int | None,
    revision_id: str | None,
    deadline: Deadline,
) -> tuple[SavedItem, str]:
    """Read the saved content of an item with its text from S3, and make the entity tag of both. The answer
    has a link to a text that is too large for it.

    It is the current content, a version of a tutorial, or a revision.

    Raises:
        TaskNotFoundError: the user has no such task.
        ItemNotFoundError: nothing is saved, or the row's text is not available.
        InvalidRequestError: this content type has no versions, or a revision is named, too.
        DatabaseUnavailableError, StorageUnavailableError: a retry may succeed.
    """
    kind = CONTENT_KINDS[item.content_type]
    if version is not None and kind.sql.versions is None:
        raise InvalidRequestError(f"version: {item.content_type} has no versions")
    if version is not None and revision_id is not None:
        raise InvalidRequestError("version and revision_id cannot be combined")

    def read(connection: Connection) -> tuple[str, Document]:
        roadmap_id = read_task(connection, task_id, user_id).roadmap_id or ""
        return roadmap_id, _requested_row(connection, roadmap_id, item, version, revision_id)

    roadmap_id, row = transact(services.reading_engine, read, deadline)
    content = {name: value for name, value in row.items() if name != "generated_at"}
    link = None
    tagged: list[object] = [row]  # what the entity tag is made of
    if kind.stored_text is not None:
        content_url = str(content.pop(kind.stored_text.key_column))
        fits = False
        try:
            text = read_text(services.bucket, roadmap_id, content_url, MOST_TEXT_BYTES)
            tagged.append(text)
            fits = encoded_size(text) <= MOST_ENCODED_BYTES
        except ObjectTooLargeError as large:
            tagged.append(large.etag)
        if fits:
            content[kind.stored_text.field] = text
        else:
            link = services.bucket.link(services.bucket.key_in(content_url), LINK_SECONDS)
    saved = SavedItem(**item._asdict(), generated_at=row["generated_at"], content=content, content_link=link)
    tag = hashlib.sha256(json.dumps(tagged, default=datetime.isoformat).encode()).hexdigest()[:32]
    return saved, f'"{tag}"'


def _requested_row(
    connection: Connection, roadmap_id: str, item: Item, version: int | None, revision_id: str | None
) -> Document:
    """The fields of the content that a request names: of a revision, of a version, or the current one.
    Raises ItemNotFoundError: there is none.
    """
    if revision_id is not None:
        which = f" as revision {revision_id!r}"
        row = revision_content(connection, roadmap_id, item, revision_id)
    elif version is not None:
        which = f" in version {version}"
        row = saved_content(connection, roadmap_id, item, version)
        if row is not None:  # read as a revision, because the product may have overwritten its text since
            row_id = row[CONTENT_KINDS[item.content_type].id_field]
            row = revision_content(connection, roadmap_id, item, row_id)
    else:
        which = ""
        row = saved_content(connection, roadmap_id, item)
    if row is None:
        raise ItemNotFoundError(f"no {item.content_type} of the concept is saved{which}")
    return row


def read_origin(connection: Connection, roadmap_id: str, item: Item, content_id: str) -> ItemOrigin | None:
    """The origin of an item's content; `None` if none was recorded."""
    origin = origin_of(connection, roadmap_id, item, content_id)
    return None if origin is None else ItemOrigin.model_validate(origin)


def read_origin_counts(connection: Connection) -> OriginCounts:
    """Count the current items, and the refused contents, of each origin."""
    return OriginCounts(items=[OriginCount.model_validate(row._mapping) for row in count_origins(connection)])


def list_revisions(
    services: Services, task_id: str, user_id: str | None, item: Item, deadline: Deadline
) -> Revisions:
    """List the newest 100 revisions of an item. The list is empty for an item of the framework without any.

    Raises:
        TaskNotFoundError, RoadmapNotFoundError, InvalidFrameworkError, ItemNotFoundError: there is none.
        DatabaseUnavailableError, StorageUnavailableError: a retry may succeed.
    """
    id_field = CONTENT_KINDS[item.content_type].id_field

    def read(connection: Connection) -> list[dict[str, Any]]:
        task = read_task(connection, task_id, user_id)
        roadmap_id = task.roadmap_id or ""
        found = revisions_of(connection, roadmap_id, item)
        if not found:
            load_framework(connection, task.roadmap_id, task.user_id).require(item.concept_id)
        current = current_row(connection, roadmap_id, item) or {}
        return [
            {
                **row._mapping,
                "current": row.revision_id == current.get(id_field),  # a former one has the id of its record
                "origin": read_origin(connection, roadmap_id, item, row.content_id),
            }
            for row in found
        ]

    rows = transact(services.reading_engine, read, deadline)
    with_text = [row for row in rows if row["content_url"] is not None]
    sizes = text_sizes(services.bucket, [row["content_url"] for row in with_text])
    for row in with_text:
        row["size"] = sizes.get(row["content_url"])
    return Revisions(items=[Revision.model_validate(row) for row in rows])
