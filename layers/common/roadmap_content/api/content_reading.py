"""`GET /api/v1/tasks/{task_id}/content/{content_type}`: an item's saved content, for the learner."""

import hashlib
import json
from datetime import datetime
from typing import Annotated, Any, NamedTuple

from pydantic import Field
from sqlalchemy import Connection

from ..content.registry import CONTENT_KINDS
from ..content.revision_records import revision_content
from ..content.rows import saved_content
from ..contracts.documents import Document
from ..contracts.errors import InvalidRequestError, ItemNotFoundError
from ..contracts.items import ContentType, Item
from ..contracts.payloads import Payload
from ..platform.postgres.times import utc
from ..platform.postgres.transactions import transact
from ..platform.runtime.deadline import Deadline
from ..platform.storage.bucket import ObjectTooLargeError
from ..platform.storage.keys import encode
from ..state.services import Services
from ..state.tasks.task import read_task

MOST_TEXT_BYTES = 1_000_000
"""Bytes of a text that an answer contains. A Lambda response is limited to 6 MB, with escaping."""

LINK_SECONDS = 300


class SavedItem(Payload):
    """The saved content of an item."""

    concept_id: str
    content_type: ContentType
    generated_at: datetime | None
    content: Annotated[
        dict[str, Any],
        Field(
            description="The fields of the content's schema (docs/schemas). `markdown` is a tutorial's text."
        ),
    ]
    content_link: Annotated[
        str | None,
        Field(
            description=f"Where to read a text of more than {MOST_TEXT_BYTES:,} bytes: a link that is valid "
            f"for {LINK_SECONDS} seconds. `content` then has no `markdown`."
        ),
    ] = None


class Found(NamedTuple):
    """An item's row, and the entity tag of its content."""

    roadmap_id: str
    row: Document
    etag: str


def find_content(
    services: Services,
    task_id: str,
    user_id: str | None,
    item: Item,
    version: int | None,
    revision_id: str | None,
    deadline: Deadline,
) -> Found:
    """Find the saved row of an item: the current one, a version of a tutorial, or a revision.

    Raises:
        TaskNotFoundError: the user has no such task.
        ItemNotFoundError: nothing is saved.
        InvalidRequestError: this content type has no versions, or a revision is named, too.
        DatabaseUnavailableError: a retry may succeed.
    """
    if version is not None and CONTENT_KINDS[item.content_type].versions_sql is None:
        raise InvalidRequestError(f"version: {item.content_type} has no versions")

    if version is not None and revision_id is not None:
        raise InvalidRequestError("version and revision_id cannot be combined")

    def read(connection: Connection) -> tuple[str, Document | None]:
        roadmap_id = read_task(connection, task_id, user_id).roadmap_id or ""
        if revision_id is not None:
            return roadmap_id, revision_content(connection, roadmap_id, item, revision_id)
        return roadmap_id, saved_content(connection, roadmap_id, item, version)

    roadmap_id, row = transact(services.reading_engine, read, deadline)
    if row is None:
        which = "" if version is None else f" in version {version}"
        which += "" if revision_id is None else f" as revision {revision_id!r}"
        raise ItemNotFoundError(f"no {item.content_type} of the concept is saved{which}")
    tag = hashlib.sha256(json.dumps(row, default=datetime.isoformat).encode()).hexdigest()[:32]
    return Found(roadmap_id, row, f'"{tag}"')


def read_content(services: Services, item: Item, found: Found) -> SavedItem:
    """Read the content of a row, from S3 where its text is stored there.

    Raises:
        ItemNotFoundError: the row's text does not exist.
        StorageUnavailableError: a retry may succeed.
    """
    kind = CONTENT_KINDS[item.content_type]
    content = {name: value for name, value in found.row.items() if name != "generated_at"}
    link = None
    if kind.stored_text is not None:
        key = str(content.pop(kind.stored_text.key_column))
        try:
            text = _read_text(services, found.roadmap_id, key)
        except ObjectTooLargeError:
            link = services.bucket.link(key, LINK_SECONDS)
        else:
            if text is None:
                raise ItemNotFoundError(f"the {item.content_type} is saved, but its text does not exist")
            content[kind.stored_text.field] = text
    return SavedItem(
        concept_id=item.concept_id,
        content_type=item.content_type,
        generated_at=utc(found.row["generated_at"]),
        content=content,
        content_link=link,
    )


def _read_text(services: Services, roadmap_id: str, key: str) -> str | None:
    """A text of the roadmap. A row that names a key of another roadmap gives no access to it."""
    if not key.startswith((f"{roadmap_id}/concepts/", f"{encode(roadmap_id)}/concepts/")):
        return None
    stored = services.bucket.get(key, limit=MOST_TEXT_BYTES)
    return None if stored is None else stored.body.decode(errors="replace")
