"""`POST /api/v1/tasks/{task_id}/items/{content_type}/revisions/{revision_id}/restore`: a former content of an
item becomes the current one again, as a new revision. Nothing is deleted.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection

from ..content.revision_records import (
    RevisionSource,
    read_text,
    record_restored,
    restore_content,
    revision_source,
)
from ..content.roadmaps.metadata import load_framework, lock_roadmap
from ..content.rows import current_revisions, current_row, current_rows, merge_items
from ..contracts.api.items import MOST_TEXT_BYTES, RestoreAnswer
from ..contracts.errors import (
    ChangedSinceError,
    ItemNotFoundError,
    RestoreRefusedError,
    TextUnavailableError,
)
from ..contracts.items import Item
from ..platform.postgres.transactions import DataRefusedError, savepoint, transact, transact_in_parts
from ..platform.runtime.deadline import Deadline
from ..platform.runtime.log import logger
from ..platform.storage.bucket import ObjectTooLargeError
from ..runs.steps.accounting import project_rows
from ..runs.steps.end_attempt import RunEnd, end_attempt
from ..state.outbox import record_events
from ..state.services import Services
from ..state.tasks.task import Task, lock_task, read_task


class Author(NamedTuple):
    actor: str
    reason: str | None


class _Restored(NamedTuple):
    content_id: str | None
    """The id of the new content; `None` if the item had the content already, also after a COMMIT without an
    answer.
    """

    current: dict[str, Any] | None
    """The current row."""


@dataclass(frozen=True)
class Restore:
    """The restore of one revision. With `replacing`, only the content with this id is replaced; if it equals
    the revision, that is recorded, so that an earlier regeneration can be undone.
    """

    services: Services
    item: Item
    revision_id: str
    author: Author
    replacing: str | None = None

    def of_task(self, task_id: str, user_id: str | None, deadline: Deadline) -> RestoreAnswer:
        """Check the text of the revision in S3, and restore it in one transaction.

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
            return task, self._source(connection, task)

        task, source = transact(self.services.engine, read, deadline)
        key = self._checked_text(task, source)
        restored = transact_in_parts(self.services.engine, self._restore, deadline, task, source, key)
        logger.info(
            "revision_restored",
            task_id=task_id,
            item=self.item,
            revision_id=self.revision_id,
            content_id=restored.content_id,
        )
        current = restored.current or {}
        return RestoreAnswer(
            task_id=task_id,
            **self.item._asdict(),
            restored=restored.content_id is not None,
            content_id=current.get("revision"),
            version=current.get("content_version"),
        )

    def _restore(
        self, connection: Connection, task: Task, source: RevisionSource, key: str | None
    ) -> _Restored:
        """Write the row, its origin, the projections and the event: the lines are in the order of the locks.
        The outcome of a task of ours is recomputed, unless an attempt is running, which records its own.
        """
        roadmap_id = task.roadmap_id or ""
        lock_roadmap(connection, roadmap_id)
        self.services.require_permitted(connection, task.task_id)  # a page of the erasure waits for the lock
        framework = load_framework(connection, task.roadmap_id, task.user_id)
        merge_items(connection, roadmap_id)  # of two rows of an item, only one would be replaced
        found = current_revisions(connection, roadmap_id, [self.item]).get(self.item)
        if self.replacing is not None and found != self.replacing:
            raise ChangedSinceError("the item has been changed since")
        again = self._source(connection, task)  # under the lock
        if again.content_url != source.content_url:
            raise ChangedSinceError("the revision has been changed since its text was checked")
        content_id = self._write(connection, roadmap_id, again._replace(content_url=key))
        current = current_row(connection, roadmap_id, self.item)
        if (recorded := content_id or self.replacing) is not None:
            record_restored(connection, roadmap_id, self.item, recorded, again.content_id, *self.author)
        if content_id is not None:
            project_rows(connection, roadmap_id, framework, current_rows(connection, roadmap_id))
            lock_task(connection, task.task_id)  # before the lock of its events, as a claim does
            event = task.events.item_restored(self.item, content_id, again.content_id, self.author.actor)
            record_events(self.services, connection, [event])
        if task.is_ours and not task.is_live:
            end_attempt(connection, self.services, task.task_id, task.attempt, RunEnd())
        return _Restored(content_id, current)

    def _source(self, connection: Connection, task: Task) -> RevisionSource:
        try:
            source = revision_source(connection, task.roadmap_id or "", self.item, self.revision_id)
        except TextUnavailableError as error:
            raise RestoreRefusedError(f"revision {self.revision_id!r}: {error}") from None
        if source is None:
            raise ItemNotFoundError(f"the item has no revision {self.revision_id!r}, or it is no longer kept")
        return source

    def _checked_text(self, task: Task, source: RevisionSource) -> str | None:
        """The key of the revision's text; `None` if it has none.
        Raises RestoreRefusedError: the text is gone, or is not the one that was saved with the revision.
        """
        if source.content_url is None:
            return None
        try:
            read_text(self.services.bucket, task.roadmap_id or "", source.content_url, MOST_TEXT_BYTES)
        except ObjectTooLargeError:
            pass  # ours has at most `MAX_STAGED` bytes; the key of one of the product has no hash to check
        except TextUnavailableError as error:
            raise RestoreRefusedError(f"revision {self.revision_id!r}: {error}") from None
        return self.services.bucket.key_in(source.content_url)

    def _write(self, connection: Connection, roadmap_id: str, source: RevisionSource) -> str | None:
        """Write the content; return its id, or `None` if the item has this content already. With the
        savepoint, a refusal of the database refuses the request; without it, all would be tried once more.
        """
        try:
            with savepoint(connection, "restored"):
                return restore_content(connection, roadmap_id, self.item, source)
        except DataRefusedError as refusal:
            raise RestoreRefusedError(f"the database refused the revision: {refusal}") from None
