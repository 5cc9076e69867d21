"""Two jobs of the sweep remove the rows and objects of deleted tasks and roadmaps, some days after the
deletion, and the texts that no row names. Each continues after the last sweep.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from ...platform.postgres.transactions import RESERVE, transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.settings import Settings
from ...platform.storage.bucket import Bucket, StoredVersion, in_parallel
from ...platform.storage.keys import is_ours, next_place, text_in
from ...runs.reconciliation.retention import DAYS_AFTER_DELETION, DELETED
from ...state.services import Services
from .deleted import DueTask, next_tasks, note_deleted, remove_deleted, subjects_of, unnamed_texts
from .objects import clear_objects
from .rows import texts_of_others

TASKS = 1_000
"""Tasks that one sweep looks up, so that its cost does not grow with their number: 288,000 a day."""

STEP = 20
"""Tasks of one transaction."""

PAGES = 20
"""Pages of 1,000 keys that one sweep reads."""


def remove_records(services: Services, after: str, deadline: Deadline) -> str:
    """Look up the page of tasks after `after`, and remove the records of those that are due, step by step.
    Returns the last task of the page, or "" after the last page: the next sweep begins again.
    """
    days, began_at = days_after_deletion(services.settings), datetime.now(UTC)
    page = transact(services.engine, next_tasks, deadline, after, TASKS)
    due = transact(services.engine, note_deleted, deadline, services.failure_hooks, page, days)
    for start in range(0, len(due), STEP):
        if deadline.remaining < RESERVE:
            return after  # the next sweep begins with the same page
        _remove(services, due[start : start + STEP], days, began_at, deadline)
    return page[-1] if len(page) == TASKS else ""


def remove_texts(services: Services, after: str, deadline: Deadline) -> str:
    """Read some pages of the bucket after the key `after`, and delete the texts that are old enough and that
    no row names. Where the bucket has versions, its lifecycle deletes them for ever. Returns the last key, or
    "" at the end.
    """
    bucket = services.bucket
    before = datetime.now(UTC) - timedelta(days=days_after_deletion(services.settings))
    for _ in range(PAGES):
        entries = bucket.entries("", after)
        old = {entry.key: text_in(entry.key) for entry in entries if entry.stored_at < before}
        texts = [text for text in old.values() if text is not None]
        if texts:
            unnamed, urls = transact(services.engine, unnamed_texts, deadline, texts)
            of_others = bucket.keys_in(urls)
            goes = [key for key, text in old.items() if text in unnamed and key not in of_others]
            deleted = in_parallel(partial(_delete_if_old, bucket, before), goes)
            logger.info("unnamed_texts_deleted", texts=sum(deleted))
        after = next_place(entries[-1].key) if entries else ""
        if not entries or deadline.remaining < RESERVE:
            break
    return after


def _delete_if_old(bucket: Bucket, before: datetime, key: str) -> bool:
    """Delete a text unless it was stored again since `before`; return whether it was deleted. An attempt that
    was claimed after the look for names writes the text first, and then the row that names it.
    """
    # Listed, because the sweep's role may not read texts.
    is_old = any(entry.key == key and entry.stored_at < before for entry in bucket.entries(key))
    if is_old:
        bucket.delete(key)
    return is_old


def _remove(
    services: Services, due: Sequence[DueTask], days: int, began_at: datetime, deadline: Deadline
) -> None:
    """Remove the objects of tasks that are due, and then the rows: after an interruption, the rows are found
    again. Texts of the product stay in the bucket, and what was stored since `began_at`: the product has made
    the task or the roadmap again.
    """

    def stays(version: StoredVersion) -> bool:
        return not is_ours(version.key) or version.stored_at >= began_at

    subjects = subjects_of(due)
    urls = transact(services.engine, texts_of_others, deadline, subjects.roadmaps)
    of_others = services.bucket.keys_in(urls)
    cleared = clear_objects(services.bucket, subjects, stays, of_others, deadline, erase=True).complete()
    rows = transact(services.engine, remove_deleted, deadline, services.failure_hooks, due, days)
    task_ids = [task.task_id for task in due]
    logger.info(
        "deleted_tasks_forgotten", tasks=task_ids, **(cleared.goes + rows).model_dump(exclude={"names"})
    )


def days_after_deletion(settings: Settings) -> int:
    return settings.retention_days.get(DELETED, DAYS_AFTER_DELETION)
