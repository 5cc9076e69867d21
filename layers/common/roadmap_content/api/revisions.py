"""The saved content of an item: read it, list its revisions, and restore one.

- `GET /api/v1/tasks/{task_id}/content/{content_type}`
- `GET /api/v1/tasks/{task_id}/items/{content_type}/revisions`
- `POST /api/v1/tasks/{task_id}/items/{content_type}/revisions/{revision_id}/restore`
- `GET /api/v1/origins`: how many items each model and prompt wrote
"""

import hashlib
import json
from datetime import datetime
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ..content.registry import CONTENT_KINDS
from ..content.revision_records import (
    RevisionSource,
    origin_of,
    read_text,
    record_restored,
    restore_content,
    revision_content,
    revision_source,
    revisions_of,
    text_sizes,
)
from ..content.roadmaps.metadata import load_framework, lock_roadmap
from ..content.rows import (
    count_origins,
    current_revisions,
    current_row,
    current_rows,
    merge_items,
    saved_content,
)
from ..contracts.api.items import (
    LINK_SECONDS,
    MOST_ENCODED_BYTES,
    MOST_TEXT_BYTES,
    ItemOrigin,
    OriginCount,
    OriginCounts,
    RestoreAnswer,
    Revision,
    Revisions,
    SavedItem,
)
from ..contracts.documents import Document
from ..contracts.errors import (
    ChangedSinceError,
    InvalidRequestError,
    ItemNotFoundError,
    RestoreRefusedError,
    TextUnavailableError,
)
from ..contracts.items import Item
from ..platform.postgres.sqlstate import is_transient
from ..platform.postgres.transactions import diagnose, transact, transact_in_parts
from ..platform.runtime.deadline import Deadline
from ..platform.runtime.log import logger
from ..platform.storage.bucket import ObjectTooLargeError
from ..runs.steps.accounting import project_rows
from ..runs.steps.end_attempt import RunEnd, end_attempt
from ..state.outbox import record_events
from ..state.services import Services
from ..state.tasks.task import Task, lock_task, read_task
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
    """Read the saved content of an item, its text from S3, and make the entity tag of both.

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
        return roadmap_id, _content(connection, roadmap_id, item, version, revision_id)

    roadmap_id, row = transact(services.reading_engine, read, deadline)
    content = {name: value for name, value in row.items() if name != "generated_at"}
    link = None
    tagged: list[object] = [row]
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


def _content(
    connection: Connection, roadmap_id: str, item: Item, version: int | None, revision_id: str | None
) -> Document:
    if revision_id is not None:
        which = f" as revision {revision_id!r}"
        row = revision_content(connection, roadmap_id, item, revision_id)
    elif version is not None:
        which = f" in version {version}"
        row = saved_content(connection, roadmap_id, item, version)
        id_field = CONTENT_KINDS[item.content_type].id_field
        row = row and revision_content(connection, roadmap_id, item, row[id_field])
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
    """List the newest 100 revisions of an item.

    Raises:
        TaskNotFoundError: the user has no such task.
        DatabaseUnavailableError, StorageUnavailableError: a retry may succeed.
    """
    id_field = CONTENT_KINDS[item.content_type].id_field

    def read(connection: Connection) -> list[dict[str, Any]]:
        roadmap_id = read_task(connection, task_id, user_id).roadmap_id or ""
        current = current_row(connection, roadmap_id, item) or {}
        return [
            {
                **row._mapping,
                "current": row.revision_id == current.get(id_field),
                "origin": read_origin(connection, roadmap_id, item, row.content_id),
            }
            for row in revisions_of(connection, roadmap_id, item)
        ]

    rows = transact(services.reading_engine, read, deadline)
    with_text = [row for row in rows if row["content_url"] is not None]
    sizes = text_sizes(services.bucket, [row["content_url"] for row in with_text])
    for row in with_text:
        row["size"] = sizes.get(row["content_url"])
    return Revisions(items=[Revision.model_validate(row) for row in rows])


def restore_revision(
    services: Services,
    task_id: str,
    user_id: str | None,
    item: Item,
    revision_id: str,
    deadline: Deadline,
    actor: str,
    reason: str | None,
    *,
    replacing: str | None = None,
) -> RestoreAnswer:
    """Make a former content of an item the current one again, as a new revision. Nothing is deleted.

    The row, its origin, the projections and the event are written in one transaction: its lines are in the
    order of its locks. The outcome of a task of ours is recomputed, unless an attempt is running, which
    records its own. With `replacing`, only the content with this id is replaced.

    Raises:
        TaskNotFoundError: the user has no such task.
        ItemNotFoundError: there is no such revision.
        RestoreRefusedError: the database refused the content, or its text is not available.
        ChangedSinceError: the item has another content than `replacing`.
        ErasureRunningError: the data of the task's user is being erased.
        RoadmapNotFoundError, InvalidFrameworkError: the projections cannot be written.
        DatabaseUnavailableError, StorageUnavailableError: a retry may succeed.
    """

    def read(connection: Connection) -> tuple[Task, RevisionSource]:
        task = read_task(connection, task_id, user_id)
        return task, _source(connection, task, item, revision_id)

    task, source = transact(services.engine, read, deadline)
    key = _checked_text(services, task, source, revision_id)
    restored, current = None, None

    def restore(connection: Connection) -> None:
        nonlocal restored, current
        roadmap_id = task.roadmap_id or ""
        lock_roadmap(connection, roadmap_id)
        services.require_permitted(connection, task_id)  # a page of the erasure waits for the lock
        framework = load_framework(connection, task.roadmap_id, task.user_id)
        merge_items(connection, roadmap_id)
        if replacing is not None and current_revisions(connection, roadmap_id, [item]).get(item) != replacing:
            raise ChangedSinceError("the item has been changed since")
        again = _source(connection, task, item, revision_id)
        if again.content_url != source.content_url:
            raise ChangedSinceError("the revision has been changed since its text was checked")
        content_id = _restore(connection, roadmap_id, item, again._replace(content_url=key))
        current = current_row(connection, roadmap_id, item)
        if content_id is None:
            return  # also after a COMMIT without an answer
        restored = content_id
        record_restored(connection, roadmap_id, item, content_id, again.content_id, actor, reason)
        project_rows(connection, roadmap_id, framework, current_rows(connection, roadmap_id))
        lock_task(connection, task_id)  # before the lock of its events, as a claim does
        event = task.events.item_restored(item, content_id, again.content_id, actor)
        record_events(services, connection, [event])

    def record(connection: Connection) -> None:
        restore(connection)
        if task.is_ours and not task.is_live:
            end_attempt(connection, services, task_id, task.attempt, RunEnd())

    transact_in_parts(services.engine, record, deadline)
    logger.info("revision_restored", task_id=task_id, item=item, revision_id=revision_id, content_id=restored)
    return RestoreAnswer(
        task_id=task_id,
        **item._asdict(),
        restored=restored is not None,
        content_id=None if current is None else current["revision"],
        version=None if current is None else current.get("content_version"),
    )


def _source(connection: Connection, task: Task, item: Item, revision_id: str) -> RevisionSource:
    try:
        source = revision_source(connection, task.roadmap_id or "", item, revision_id)
    except TextUnavailableError as error:
        raise RestoreRefusedError(f"revision {revision_id!r}: {error}") from None
    if source is None:
        raise ItemNotFoundError(f"the item has no revision {revision_id!r}")
    return source


def _checked_text(services: Services, task: Task, source: RevisionSource, revision_id: str) -> str | None:
    """The key of the text of a revision, if that is the text that was saved with it."""
    if source.content_url is None:
        return None
    try:
        read_text(services.bucket, task.roadmap_id or "", source.content_url, MOST_TEXT_BYTES)
    except ObjectTooLargeError:
        pass  # such a text is the product's, and its key has no hash
    except TextUnavailableError as error:
        raise RestoreRefusedError(f"revision {revision_id!r}: {error}") from None
    return services.bucket.key_in(source.content_url)


def _restore(connection: Connection, roadmap_id: str, item: Item, source: RevisionSource) -> str | None:
    """Restore within a savepoint, so that a refusal of the database is one of this request."""
    try:
        with connection.begin_nested():
            return restore_content(connection, roadmap_id, item, source)
    except DBAPIError as error:
        sqlstate, message = diagnose(error)
        if is_transient(sqlstate):
            raise
        raise RestoreRefusedError(f"the database refused the revision: {message}") from None
