"""`DELETE /api/v1/users/{user_id}/content`: erase everything of ours that names a user, or preview it.

Each request does a part, in the time that API Gateway permits, and the caller repeats it. The erasure's row
in the register stops claims; then the user's attempts are cancelled, and nothing is deleted until the last
step of a stopped run is over: anything that it may still have written is deleted with the rest. After an
interruption, the caller begins again: deleted rows are not found again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from ...api.cancel import cancel_task
from ...contracts.erasure import DueErasure, ErasureAnswer, Remainder, Removed, ReplayAnswer
from ...contracts.errors import (
    AtWorkElsewhereError,
    InvalidRequestError,
    NotCancellableError,
    TaskNotFoundError,
)
from ...platform.postgres.transactions import DataRefusedError, transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.storage.bucket import Bucket, StoredVersion
from ...runs.reconciliation.sweeps import forget_places
from ...state.services import Services
from ...state.tasks.task import disown_tasks
from . import register, rows
from .attempts import end_attempts_of, open_attempts_of, quiet_at
from .errors import ErasureRefusedError
from .objects import clear_objects
from .rows import Subjects

PAGE = 20
"""Roadmaps and tasks of one transaction."""

PART_SECONDS = 12.0
"""A request with less time left begins no further page."""


class Erasure(NamedTuple):
    """A request to erase the data of a user."""

    user_id: str
    actor: str
    product_rows: bool = False
    after: str | None = None
    """`after` of the previous answer."""

    replay: str | None = None
    """The erasure of the register to apply again, to older rows."""

    @property
    def place(self) -> tuple[str, str]:
        """The last roadmap or task of the previous part."""
        kind, _, name = (self.after or "").partition(":")
        if kind not in ("", "roadmap", "task"):
            raise InvalidRequestError("after is not of a previous answer")
        return kind, name


def preview_erasure(services: Services, request: Erasure, deadline: Deadline) -> ErasureAnswer:
    """Count the rows and objects that an erasure removes or leaves. Nothing is changed."""
    found = stays = Removed()
    place = request.place

    def read(connection: Connection) -> tuple[Subjects, Removed, Removed, _Texts] | None:
        if request.product_rows:
            rows.require_privileges(connection)
        page = rows.next_subjects(connection, request.user_id, place, None, PAGE)
        if page is None:
            return None
        texts = _texts(connection, request.user_id, page, product_rows=request.product_rows)
        return page, *rows.count_rows(connection, page), texts

    def count_names(connection: Connection) -> Removed:
        return rows.erase_names(connection, request.user_id, product_rows=request.product_rows, dry_run=True)

    while deadline.remaining > PART_SECONDS:
        page = transact(services.reading_engine, read, deadline)
        if page is None:
            found += transact(services.reading_engine, count_names, deadline)
            return ErasureAnswer(
                dry_run=True, complete=True, removed=found, stays=stays, remains=_remains(services)
            )
        subjects, ours, of_product, named = page
        removed, texts = _clear(services.bucket, subjects, named, deadline, erase=False)
        found += ours + removed
        if request.product_rows:
            found += of_product
        else:
            stays += of_product
        stays += texts
        place = subjects.last
    return ErasureAnswer(dry_run=True, complete=False, removed=found, stays=stays, after=":".join(place))


def erase_user(services: Services, request: Erasure, deadline: Deadline) -> ErasureAnswer:
    """Erase a part of a user's data.

    Raises:
        ErasureRefusedError: a row of the product refers to one that was to be deleted.
        InvalidRequestError: the register has no such erasure to apply again.
    """
    user_hash = register.hash_user(services.erasure_key, request.user_id)

    def begin(connection: Connection) -> register.Entry:
        if request.replay is not None:
            entry = register.reopen_erasure(connection, request.replay, request.user_id, user_hash)
        else:
            entry = register.begin_erasure(
                connection, request.user_id, user_hash, request.actor, product_rows=request.product_rows
            )
        if entry.product_rows:
            rows.require_privileges(connection)
        return entry

    def read(connection: Connection) -> tuple[Subjects, _Texts] | None:
        page = rows.next_subjects(connection, request.user_id, place, before, PAGE)
        if page is None:
            return None
        if entry.product_rows:
            rows.rehearse(connection, services.failure_hooks, page)
        return page, _texts(connection, request.user_id, page, product_rows=entry.product_rows)

    entry = transact(services.engine, begin, deadline)
    if request.after is None:
        register.store_copy(services.bucket, entry)
    before = None if request.replay is None else entry.ended_at
    if waits_until := _stop_runs(services, request, before, deadline):
        return ErasureAnswer(dry_run=False, complete=False, waits_until=waits_until)
    place, found = request.place, Removed()
    while deadline.remaining > PART_SECONDS:
        with _refused_by_the_product():
            page = transact(services.engine, read, deadline)
        if page is None:
            return _end(services, request, entry, found, before, deadline)
        subjects, named = page
        objects, _ = _clear(services.bucket, subjects, named, deadline, erase=True)
        removed = _erase_page(services, request, entry, subjects, objects, before, deadline)
        if removed is None:
            break
        found += removed
        place = subjects.last
    after = ":".join(place) if any(place) else None
    return ErasureAnswer(dry_run=False, complete=False, removed=found, after=after)


def due_erasures(services: Services, deadline: Deadline) -> ReplayAnswer:
    """Unite the registers of database and bucket; return the erasures of users with rows in the database."""
    entries = transact(services.engine, register.unite, deadline, services.bucket)
    users = transact(services.reading_engine, rows.all_users, deadline)
    known = {register.hash_user(services.erasure_key, user): user for user in users} if entries else {}
    due = [
        DueErasure(
            erasure_id=entry.erasure_id, user_id=known[entry.user_hash], product_rows=entry.product_rows
        )
        for entry in entries
        if entry.user_hash in known
    ]
    mark = register.mark_of(services.erasure_key)
    others = sum(not entry.user_hash.startswith(mark) for entry in entries)
    return ReplayAnswer(registered=len(entries), of_another_key=others, due=due)


def _stop_runs(
    services: Services, request: Erasure, before: datetime | None, deadline: Deadline
) -> datetime | None:
    """Cancel the user's attempts that wait or run; return when their last step is over, if one is at work."""
    found = transact(services.engine, open_attempts_of, deadline, request.user_id, before)
    reason = "the user's data is erased"
    for task_id, execution_arn in found:
        stopped = None
        try:
            stopped = cancel_task(services, task_id, None, deadline, request.actor, reason).stopped_execution
        except (TaskNotFoundError, NotCancellableError, AtWorkElsewhereError) as error:
            logger.info("erased_task_not_cancelled", task_id=task_id, reason=str(error))
        if execution_arn is not None and execution_arn != stopped:
            services.executions.stop(execution_arn)  # what cannot be stopped may write: nothing is deleted
    return transact(services.engine, end_attempts_of, deadline, request.user_id, before)


def _erase_page(
    services: Services,
    request: Erasure,
    entry: register.Entry,
    subjects: Subjects,
    objects: Removed,
    before: datetime | None,
    deadline: Deadline,
) -> Removed | None:
    """Delete the rows of a page, and add them and the deleted objects to the receipt; `None` if a claim that
    began before the erasure has made an attempt: its run is stopped first, and may have written until then.
    """

    def erase(connection: Connection) -> Removed | None:
        rows.lock_subjects(connection, subjects)
        if quiet_at(connection, request.user_id, before):
            return None  # also if another request for this user has just stopped the run
        if not entry.product_rows:
            disown_tasks(connection, request.user_id, subjects.tasks, register.mark_of_task(entry.erasure_id))
        found = objects + rows.erase_rows(
            connection, services.failure_hooks, subjects, product_rows=entry.product_rows
        )
        forget_places(connection, subjects.tasks, subjects.roadmaps)
        register.add_removed(connection, entry.erasure_id, found)
        return found

    with _refused_by_the_product():
        return transact(services.engine, erase, deadline)


@contextmanager
def _refused_by_the_product() -> Iterator[None]:
    try:
        yield
    except DataRefusedError as error:
        if not error.sqlstate.startswith("23"):  # not a constraint
            raise
        raise ErasureRefusedError(f"the product must delete its own rows first: {error}") from error


def _end(
    services: Services,
    request: Erasure,
    entry: register.Entry,
    found: Removed,
    before: datetime | None,
    deadline: Deadline,
) -> ErasureAnswer:
    """End the erasure, if no claim has come in between. Then the user is a new one.
    Raises RuleMissingError: rows are left that no request finds, so that the caller would repeat it forever.
    """
    nothing_found = request.after is None and not found

    def end(connection: Connection) -> tuple[register.Entry, Removed] | None:
        rows.hand_over(connection, request.user_id)
        if request.replay is None and rows.is_left(connection, request.user_id):
            if nothing_found and not quiet_at(connection, request.user_id, before):
                raise rows.RuleMissingError("rows of the user are left that belong to no task or roadmap")
            return None
        names = rows.erase_names(connection, request.user_id, product_rows=entry.product_rows, before=before)
        register.add_removed(connection, entry.erasure_id, names)
        return register.end_erasure(connection, entry.erasure_id), names

    result = transact(services.engine, end, deadline)
    if result is None:
        return ErasureAnswer(dry_run=False, complete=False, removed=found)
    ended, names = result
    register.store_copy(services.bucket, ended)
    logger.info("user_erased", erasure_id=ended.erasure_id, actor=request.actor)
    return ErasureAnswer(
        dry_run=False,
        complete=True,
        removed=found + names,
        remains=_remains(services),
        receipt=ended.receipt,
        digest=ended.receipt.digest,
    )


class _Texts(NamedTuple):
    """The URLs of texts of a page that stay."""

    of_product: list[str]
    """Rows of the page name them, and stay."""

    of_others: list[str]
    """Rows of other roadmaps name them."""


def _texts(connection: Connection, user_id: str, page: Subjects, *, product_rows: bool) -> _Texts:
    named = [] if product_rows else rows.named_texts(connection, page.roadmaps)
    # With the product's rows, those of the user's other roadmaps go, too.
    others = rows.texts_of_others(connection, page.roadmaps, user_id if product_rows else None)
    return _Texts(named, others)


def _clear(
    bucket: Bucket, page: Subjects, texts: _Texts, deadline: Deadline, *, erase: bool
) -> tuple[Removed, Removed]:
    """Delete or count the objects of a page, without the latest versions of texts that stay."""
    named, of_others = bucket.keys_in(texts.of_product), bucket.keys_in(texts.of_others)

    def stays(version: StoredVersion) -> bool:
        return version.is_latest and version.key in named

    return clear_objects(bucket, page, stays, of_others, deadline, erase=erase)


def _remains(services: Services) -> list[Remainder]:
    """The data that this system does not delete, and the time when each expires."""
    settings, now = services.settings, datetime.now(UTC)
    days = {
        "the access log of the API: ids, addresses": settings.access_log_retention_days,
        "logs of the functions and of the state machine: ids": settings.log_retention_days,
        "executions of Step Functions: ids": 90,
        "traces: paths with ids, addresses": 30,
    }
    return [
        *(Remainder(data=data, until=now + timedelta(days=kept)) for data, kept in days.items()),
        Remainder(
            data="backups of the database",
            until="their retention; after a restore, apply the register again",
        ),
    ]
