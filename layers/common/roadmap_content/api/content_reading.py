"""`GET /api/v1/tasks/{task_id}/content/{content_type}`: an item's saved content, for the learner."""

import hashlib
import json
from datetime import datetime

from sqlalchemy import Connection

from ..content.registry import CONTENT_KINDS
from ..content.revision_records import read_text, revision_content
from ..content.rows import saved_content
from ..contracts.api.content import LINK_SECONDS, MOST_TEXT_BYTES, SavedItem
from ..contracts.documents import Document
from ..contracts.errors import InvalidRequestError, ItemNotFoundError
from ..contracts.items import Item
from ..contracts.times import utc
from ..platform.postgres.transactions import transact
from ..platform.runtime.deadline import Deadline
from ..platform.storage.bucket import ObjectTooLargeError
from ..state.services import Services
from ..state.tasks.task import read_task


def read_content(
    services: Services,
    task_id: str,
    user_id: str | None,
    item: Item,
    version: int | None,
    revision_id: str | None,
    deadline: Deadline,
) -> tuple[SavedItem, str]:
    """Read the saved content of an item, its text from S3, and make the entity tag of both.

    It is the current content, a version of a tutorial, or a revision.

    Raises:
        TaskNotFoundError: the user has no such task.
        ItemNotFoundError: nothing is saved, or the row's text is not available.
        InvalidRequestError: this content type has no versions, or a revision is named, too.
        DatabaseUnavailableError, StorageUnavailableError: a retry may succeed.
    """
    kind = CONTENT_KINDS[item.content_type]
    if version is not None and kind.versions_sql is None:
        raise InvalidRequestError(f"version: {item.content_type} has no versions")

    if version is not None and revision_id is not None:
        raise InvalidRequestError("version and revision_id cannot be combined")

    def read(connection: Connection) -> tuple[str, Document]:
        roadmap_id = read_task(connection, task_id, user_id).roadmap_id or ""
        return roadmap_id, _row(connection, roadmap_id, item, version, revision_id)

    roadmap_id, row = transact(services.reading_engine, read, deadline)
    content = {name: value for name, value in row.items() if name != "generated_at"}
    link = None
    tagged: list[object] = [row]
    if kind.stored_text is not None:
        content_url = str(content.pop(kind.stored_text.key_column))
        try:
            text = read_text(services.bucket, roadmap_id, content_url, MOST_TEXT_BYTES)
        except ObjectTooLargeError as large:
            link = services.bucket.link(services.bucket.key_in(content_url), LINK_SECONDS)
            tagged.append(large.etag)
        else:
            content[kind.stored_text.field] = text
            tagged.append(text)
    saved = SavedItem(
        concept_id=item.concept_id,
        content_type=item.content_type,
        generated_at=utc(row["generated_at"]),
        content=content,
        content_link=link,
    )
    tag = hashlib.sha256(json.dumps(tagged, default=datetime.isoformat).encode()).hexdigest()[:32]
    return saved, f'"{tag}"'


def _row(
    connection: Connection, roadmap_id: str, item: Item, version: int | None, revision_id: str | None
) -> Document:
    which = ""
    if revision_id is not None:
        which = f" as revision {revision_id!r}"
        row = revision_content(connection, roadmap_id, item, revision_id)
    else:
        row = saved_content(connection, roadmap_id, item, version)
    if version is not None:
        which = f" in version {version}"
        id_field = CONTENT_KINDS[item.content_type].id_field
        row = row and revision_content(connection, roadmap_id, item, row[id_field])
    if row is None:
        raise ItemNotFoundError(f"no {item.content_type} of the concept is saved{which}")
    return row
