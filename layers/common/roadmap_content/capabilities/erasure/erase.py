"""`DELETE /api/v1/users/{user_id}/content`: erase everything of ours that names a user, or preview it.

Each request does a part, in the time that API Gateway permits, and the caller repeats it. The erasure's row
in the register stops claims; then the user's attempts are cancelled, and nothing is deleted until the last
step of a stopped run is over: anything that it may still have written is deleted with the rest. After an
interruption, the caller begins again: deleted rows are not found again.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from ...api.cancel import cancel_task
from ...content.roadmaps.metadata import lock_roadmap_of
from ...contracts.erasure import DueErasure, ErasureAnswer, Remainder, Removed, ReplayAnswer
from ...contracts.errors import (
    AtWorkElsewhereError,
    InvalidRequestError,
    NotCancellableError,
    TaskNotFoundError,
)
from ...platform.postgres.transactions import DataRefusedError, transact, transact_in_parts
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.storage.bucket import Bucket, StoredVersion
from ...runs.reconciliation.sweeps import forget_places
from ...runs.steps.end_attempt import RunEnd, end_attempt
from ...state.services import Services
from ...state.tasks.attempts import cancel_attempt
from ...state.tasks.task import disown_tasks, lock_task
from . import register, rows
from .attempts import end_attempts_of, open_attempts_of, quiet_at
from .errors import ErasureRefusedError
from .objects import Cleared, clear_objects
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
        """The last roadmap or task of the previous part, as kind and id; empty: begin with the first.
        Raises InvalidRequestError: `after` is not of an answer.
        """
        kind, _, name = (self.after or "").partition(":")
        if kind not in ("", "roadmap", "task"):
            raise InvalidRequestError("after is not of a previous answer")
        return kind, name


class _Page(NamedTuple):
    """Some roadmaps and tasks of the user, and the URLs of texts below their prefixes that stay."""

    subjects: Subjects
    of_product: list[str]
    """Rows of the page that stay name these texts: none if the product's rows go, too."""

    of_others: list[str]
    """Rows of other roadmaps name these texts."""


def preview_erasure(services: Services, request: Erasure, deadline: Deadline) -> ErasureAnswer:
    """Count the rows and objects that an erasure removes or leaves. Nothing is changed.
    Raises InvalidRequestError: with `replay`, which removes only what is older than that erasure.
    """
    if request.replay is not None:
        raise InvalidRequestError("an erasure that is applied again has no preview: leave replay away")

    def count_page(connection: Connection, place: tuple[str, str]) -> tuple[_Page, Removed, Removed] | None:
        """The page after a place, with the numbers of our rows and of the product's."""
        if request.product_rows:
            rows.require_privileges(connection)
        page = _read_page(connection, request.user_id, place, None, product_rows=request.product_rows)
        return None if page is None else (page, *rows.count_rows(connection, page.subjects))

    def count_names(connection: Connection) -> Removed:
        return rows.erase_names(connection, request.user_id, product_rows=request.product_rows, dry_run=True)

    goes = stays = Removed()
    place = request.place
    while deadline.remaining > PART_SECONDS:
        counted = transact(services.reading_engine, count_page, deadline, place)
        if counted is None:
            goes += transact(services.reading_engine, count_names, deadline)
            return ErasureAnswer(
                dry_run=True, complete=True, removed=goes, stays=stays, remains=_remains(services)
            )
        page, ours, of_product = counted
        counted_objects = _clear(services.bucket, page, deadline, erase=False).complete()
        goes += ours + counted_objects.goes
        stays += counted_objects.stays
        if request.product_rows:
            goes += of_product
        else:
            stays += of_product
        place = page.subjects.last
    return ErasureAnswer(dry_run=True, complete=False, removed=goes, stays=stays, after=":".join(place))


def erase_user(services: Services, request: Erasure, deadline: Deadline) -> ErasureAnswer:
    """Erase a part of a user's data.

    Raises:
        ErasureRefusedError: a row of the product refers to one that was to be deleted.
        InvalidRequestError: the register has no such erasure to apply again, or `after` is not of an answer.
    """
    place = request.place  # before anything is begun: it may be refused
    user_hash = register.hash_user(services.erasure_key, request.user_id)

    def begin(connection: Connection) -> register.Entry:
        """Write the entry. A refusal undoes it: the register has no refused erasure."""
        if request.replay is not None:
            entry = register.reopen_erasure(connection, request.replay, request.user_id, user_hash)
        else:
            entry = register.begin_erasure(
                connection, request.user_id, user_hash, request.actor, product_rows=request.product_rows
            )
        if entry.product_rows:  # also if only an earlier request of this erasure asked for them
            rows.require_privileges(connection)
        return entry

    entry = transact(services.engine, begin, deadline)
    if request.after is None:
        register.store_copy(services.bucket, entry)
    before = None if request.replay is None else entry.ended_at
    part = _Part(services, request, entry, before, deadline)
    if waits_until := part.stop_runs():
        return ErasureAnswer(dry_run=False, complete=False, waits_until=waits_until)
    removed = Removed()
    while deadline.remaining > PART_SECONDS:
        page = part.read_page(place)
        if page is None:
            return part.end(removed)
        removed += part.clear_page(page)
        removed_rows = part.erase_page(page)
        if removed_rows is None:
            break
        removed += removed_rows
        place = page.subjects.last
    after = ":".join(place) if any(place) else None
    return ErasureAnswer(dry_run=False, complete=False, removed=removed, after=after)


class _Part(NamedTuple):
    """The part of an erasure that one request does, after the erasure has begun in the register."""

    services: Services
    request: Erasure
    entry: register.Entry
    """Its `product_rows` are set if any request of this erasure asked for them."""

    before: datetime | None
    """Of an erasure that is applied again: its end. What is newer belongs to the user who came back."""

    deadline: Deadline

    def stop_runs(self) -> datetime | None:
        """Cancel the user's attempts that wait or run; return when their last step is over, if one may still
        be at work.
        """
        services, deadline, user_id = self.services, self.deadline, self.request.user_id
        for task_id, attempt, execution_arn in transact(
            services.engine, open_attempts_of, deadline, user_id, self.before
        ):
            stopped, is_of_user = None, True
            try:
                stopped = cancel_task(
                    services, task_id, user_id, deadline, self.request.actor, "the user's data is erased"
                ).stopped_execution
            except TaskNotFoundError:  # it is gone, or the product has given it to another user
                is_of_user = False
            except (NotCancellableError, AtWorkElsewhereError) as error:
                logger.info("erased_task_not_cancelled", task_id=task_id, reason=str(error))
            if execution_arn is not None and execution_arn != stopped:
                # The run of a task that is gone or over, or a run whose former stop got no answer. If this
                # fails, the run may still write: the error ends the request, and nothing is deleted.
                services.executions.stop(execution_arn)
            if not is_of_user:
                with suppress(TaskNotFoundError):
                    transact_in_parts(
                        services.engine, self._withdraw, deadline, task_id, attempt, execution_arn
                    )
        return transact(services.engine, end_attempts_of, deadline, user_id, self.before)

    def _withdraw(
        self, connection: Connection, task_id: str, attempt: int, execution_arn: str | None
    ) -> None:
        """End an attempt as cancelled; its task, of another user, gets the status that the tables show.
        Raises TaskNotFoundError: the task is gone, or the attempt is of an earlier life of it.
        """
        lock_roadmap_of(connection, task_id)
        lock_task(connection, task_id)
        cancel_attempt(connection, task_id, attempt)
        end_attempt(connection, self.services, task_id, attempt, RunEnd(), execution_arn)

    def read_page(self, place: tuple[str, str]) -> _Page | None:
        """The page after a place, `None` after the last one. Raises ErasureRefusedError: the product would
        refuse to delete the page's rows.
        """

        def read(connection: Connection) -> _Page | None:
            all_rows = self.entry.product_rows
            page = _read_page(connection, self.request.user_id, place, self.before, product_rows=all_rows)
            if page is not None and all_rows:
                rows.rehearse(connection, self.services.failure_hooks, page.subjects)
            return page

        with _refused_by_the_product():
            return transact(self.services.engine, read, self.deadline)

    def clear_page(self, page: _Page) -> Removed:
        """Delete the objects of a page, and add their numbers to the receipt at once, also those of a page
        that is not finished: a repetition does not find them again.
        """
        cleared = _clear(self.services.bucket, page, self.deadline, erase=True)
        engine, erasure_id, part = self.services.engine, self.entry.erasure_id, str(uuid.uuid4())
        transact(engine, register.add_removed, self.deadline, erasure_id, cleared.goes, part)
        return cleared.complete().goes

    def erase_page(self, page: _Page) -> Removed | None:
        """Delete the rows of a page, whose objects are deleted, and add their numbers to the receipt; `None`
        if a claim that began before the erasure has made an attempt: its run is stopped first, and may have
        written until then.
        """
        subjects, product_rows = page.subjects, self.entry.product_rows

        def erase(connection: Connection) -> Removed | None:
            rows.lock_subjects(connection, subjects)
            if quiet_at(connection, self.request.user_id, self.before) is not None:
                return None  # a step may still write, also if another request has just stopped its run
            if not product_rows:
                mark = register.mark_of_task(self.entry.erasure_id)
                disown_tasks(connection, self.request.user_id, subjects.tasks, mark)
            hooks = self.services.failure_hooks
            removed = rows.erase_rows(connection, hooks, subjects, product_rows=product_rows)
            forget_places(connection, subjects.tasks, subjects.roadmaps)
            register.add_removed(connection, self.entry.erasure_id, removed)
            return removed

        with _refused_by_the_product():
            return transact(self.services.engine, erase, self.deadline)

    def end(self, removed: Removed) -> ErasureAnswer:
        """End the erasure, if no claim has come in between. Then the user is a new one.

        Args:
            removed: by this request.

        Raises:
            RuleMissingError: rows are left that no request finds, so that the caller would repeat it forever.
        """
        user_id, erasure_id = self.request.user_id, self.entry.erasure_id
        nothing_found = self.request.after is None and not removed

        def end(connection: Connection) -> tuple[register.Entry, Removed] | None:
            rows.hand_over(connection, user_id)
            # After a replay, newer rows stay: the user has come back.
            if self.request.replay is None and rows.is_named(connection, user_id):
                if nothing_found and not quiet_at(connection, user_id, self.before):
                    raise rows.RuleMissingError("rows of the user are left that belong to no task or roadmap")
                return None
            names = rows.erase_names(
                connection, user_id, product_rows=self.entry.product_rows, before=self.before
            )
            register.add_removed(connection, erasure_id, names)
            return register.end_erasure(connection, erasure_id), names

        result = transact(self.services.engine, end, self.deadline)
        if result is None:
            return ErasureAnswer(dry_run=False, complete=False, removed=removed)
        ended, names = result
        register.store_copy(self.services.bucket, ended)
        logger.info("user_erased", erasure_id=erasure_id, actor=self.request.actor)
        return ErasureAnswer(
            dry_run=False,
            complete=True,
            removed=removed + names,
            remains=_remains(self.services),
            receipt=ended.receipt,
            digest=ended.receipt.digest,
        )


@contextmanager
def _refused_by_the_product() -> Iterator[None]:
    """Raise ErasureRefusedError if a constraint refuses a statement of the block."""
    try:
        yield
    except DataRefusedError as error:
        if not error.sqlstate.startswith("23"):  # not a constraint
            raise
        raise ErasureRefusedError(f"the product must delete its own rows first: {error}") from error


def _read_page(
    connection: Connection,
    user_id: str,
    place: tuple[str, str],
    before: datetime | None,
    *,
    product_rows: bool,
) -> _Page | None:
    """The next roadmaps and tasks of the user, with the texts that stay; `None` after the last page."""
    subjects = rows.next_subjects(connection, user_id, place, before, PAGE)
    if subjects is None:
        return None
    of_product = [] if product_rows else rows.named_texts(connection, subjects.roadmaps)
    # With the product's rows, those of the user's other roadmaps go, too.
    going_user = user_id if product_rows else None
    return _Page(subjects, of_product, rows.texts_of_others(connection, subjects.roadmaps, going_user))


def _clear(bucket: Bucket, page: _Page, deadline: Deadline, *, erase: bool) -> Cleared:
    """Delete or count the objects of a page. The latest versions of the texts of the product's rows stay."""
    named = bucket.keys_in(page.of_product)

    def stays(version: StoredVersion) -> bool:
        return version.is_latest and version.key in named

    return clear_objects(bucket, page.subjects, stays, bucket.keys_in(page.of_others), deadline, erase=erase)


def due_erasures(services: Services, deadline: Deadline) -> ReplayAnswer:
    """Unite the registers of database and bucket: each gets the entries and the ends that only the other one
    has. Return the erasures of users with rows in the database.
    """
    copies = register.read_copies(services.bucket)
    entries = transact(services.engine, register.add_copies, deadline, copies)
    register.complete_copies(services.bucket, copies, entries)
    users = transact(services.reading_engine, rows.all_users, deadline)
    known = {register.hash_user(services.erasure_key, user): user for user in users} if entries else {}
    due = [
        DueErasure(
            erasure_id=entry.erasure_id, user_id=known[entry.user_hash], product_rows=entry.product_rows
        )
        for entry in entries
        if entry.user_hash in known
    ]
    mark = register.mark_of_key(services.erasure_key)
    others = sum(not entry.user_hash.startswith(mark) for entry in entries)
    return ReplayAnswer(registered=len(entries), of_another_key=others, due=due)


def _remains(services: Services) -> list[Remainder]:
    """The data that this system does not delete, and the time when each expires."""
    settings, now = services.settings, datetime.now(UTC)
    days = {
        "the access log of the API: ids, addresses": settings.access_log_retention_days,
        "logs of the functions and of the state machine: ids": settings.log_retention_days,
        "executions of Step Functions: ids": 90,  # as AWS keeps them
        "traces: paths with ids, addresses": 30,
    }
    return [
        *(Remainder(data=data, until=now + timedelta(days=kept)) for data, kept in days.items()),
        Remainder(
            data="backups of the database",
            until="their retention; after a restore, apply the register again",
        ),
    ]
