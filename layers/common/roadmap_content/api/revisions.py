"""The revisions of an item: list them, and restore one.

- `GET /api/v1/tasks/{task_id}/items/{content_type}/revisions`
- `POST /api/v1/tasks/{task_id}/items/{content_type}/revisions/{revision_id}/restore`
"""

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from ..content.registry import CONTENT_KINDS
from ..content.revision_records import (
    RevisionSource,
    read_text,
    record_restored,
    restore_content,
    revision_source,
    revisions_of,
    text_size,
)
from ..content.roadmaps.metadata import load_framework, lock_roadmap
from ..content.rows import current_revisions, current_row, current_rows, merge_items
from ..contracts.api.content import MOST_TEXT_BYTES, RestoreAnswer, Revision, Revisions
from ..contracts.errors import (
    ChangedSinceError,
    ItemNotFoundError,
    RestoreRefusedError,
    TextUnavailableError,
)
from ..contracts.events import item_restored
from ..contracts.items import Item
from ..contracts.times import utc
from ..platform.postgres.sqlstate import is_transient
from ..platform.postgres.transactions import diagnose, transact
from ..platform.runtime.deadline import Deadline
from ..platform.runtime.log import logger
from ..platform.storage.bucket import ObjectTooLargeError, in_parallel
from ..runs.steps.finalize import RunEnd, finalize_attempt
from ..runs.steps.projection import project_rows
from ..state.outbox import record_events
from ..state.services import Services
from ..state.tasks.task import Task, lock_task, read_task
from .origins import read_origin


def list_revisions(
    services: Services, task_id: str, user_id: str | None, item: Item, deadline: Deadline
) -> Revisions:
    """List the newest 100 revisions of an item.

    Raises:
        TaskNotFoundError: the user has no such task.
        DatabaseUnavailableError, StorageUnavailableError: a retry may succeed.
    """
    kind = CONTENT_KINDS[item.content_type]

    def read(connection: Connection) -> tuple[list[Revision], list[str | None]]:
        roadmap_id = read_task(connection, task_id, user_id).roadmap_id or ""
        current = current_row(connection, roadmap_id, item)
        rows = revisions_of(connection, roadmap_id, item)
        revisions = [
            Revision(
                revision_id=row.revision_id,
                content_id=row.content_id,
                current=current is not None and row.revision_id == current[kind.id_field],
                version=row.version,
                generated_at=utc(row.generated_at),
                replaced_at=utc(row.replaced_at),
                reason=row.reason,
                size=row.size,
                origin=read_origin(connection, roadmap_id, item, row.content_id),
            )
            for row in rows
        ]
        return revisions, [row.content_url for row in rows]

    revisions, urls = transact(services.reading_engine, read, deadline)
    sizes = in_parallel(lambda url: None if url is None else text_size(services.bucket, url), urls)
    return Revisions(
        items=[
            revision if url is None else revision.model_copy(update={"size": size})
            for revision, url, size in zip(revisions, urls, sizes, strict=True)
        ]
    )


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

    The row, its origin, the projections and the event are written in one transaction. The outcome of a task
    of ours is recomputed, unless an attempt is running, which records its own. With `replacing`, only the
    content with this id is replaced.

    Raises:
        TaskNotFoundError: the user has no such task.
        ItemNotFoundError: there is no such revision.
        RestoreRefusedError: the database refused the content, or its text is not available.
        ChangedSinceError: the item has another content than `replacing`.
        RoadmapNotFoundError, InvalidFrameworkError: the projections cannot be written.
        DatabaseUnavailableError, StorageUnavailableError: a retry may succeed.
    """

    def read(connection: Connection) -> tuple[Task, RevisionSource]:
        task = read_task(connection, task_id, user_id)
        return task, _source(connection, task, item, revision_id)

    task, source = transact(services.engine, read, deadline)
    key = _checked_text(services, task, source, revision_id)
    restored = None

    def restore(connection: Connection) -> None:
        nonlocal restored
        roadmap_id = task.roadmap_id or ""
        lock_roadmap(connection, roadmap_id)
        framework = load_framework(connection, task.roadmap_id, task.user_id)
        merge_items(connection, roadmap_id)
        if replacing is not None and current_revisions(connection, roadmap_id, [item]).get(item) != replacing:
            raise ChangedSinceError("the item has been changed since")
        again = _source(connection, task, item, revision_id)
        if again.content_url != source.content_url:
            raise ChangedSinceError("the revision has been changed since its text was checked")
        content_id = _restore(connection, roadmap_id, item, again._replace(content_url=key))
        if content_id is None:
            return  # also after a COMMIT without an answer
        restored = content_id
        record_restored(connection, roadmap_id, item, content_id, again.content_id, actor, reason)
        project_rows(connection, roadmap_id, framework, current_rows(connection, roadmap_id))
        lock_task(connection, task_id)  # before the lock of its events, as a claim does
        event = item_restored(task_id, roadmap_id, task.attempt, item, content_id, again.content_id, actor)
        record_events(services, connection, [event])

    if task.attempt == 0 or task.is_live:
        transact(services.engine, restore, deadline)
    else:
        finalize_attempt(services, task_id, task.attempt, RunEnd(), deadline, first=restore)
    logger.info("revision_restored", task_id=task_id, item=item, revision_id=revision_id, content_id=restored)
    current = transact(
        services.engine, lambda connection: current_row(connection, task.roadmap_id or "", item), deadline
    )
    return RestoreAnswer(
        task_id=task_id,
        concept_id=item.concept_id,
        content_type=item.content_type,
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
