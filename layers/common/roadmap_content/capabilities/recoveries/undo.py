"""`POST /api/v1/recoveries/{recovery_id}/undo`: restore the former contents after a regeneration."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from ...api.restores import Author, Restore
from ...content.revision_records import origin_of, record_restored, revisions_of
from ...content.rows import current_revisions
from ...contracts.api.recoveries import LeftAlone, TaskUndo, UndoAnswer
from ...contracts.errors import ChangedSinceError, ContentError, ItemNotFoundError, TransientError
from ...contracts.items import Item
from ...platform.postgres.transactions import transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...state.services import Services
from ...state.tasks.scope import decode_revisions
from ...state.tasks.task import read_task
from .decisions import Undone, undo_of
from .errors import RecoveryStateError
from .recovery import read_recovery
from .recovery_tasks import count_undone, read_tasks_to_undo, record_undone

UNDO_SECONDS = 5.0
"""The time that must be left to process another item."""


def undo_recovery(
    services: Services, recovery_id: str, actor: str, deadline: Deadline, why: str | None = None
) -> UndoAnswer:
    """Restore the revision that each item had before a regeneration, item by item; `why` is in its origin.

    An item that was changed since is left alone, and listed. The undo may be interrupted anywhere, and
    repeated: an item that is restored already is only counted, one that was left alone is looked at again.

    Raises:
        RecoveryNotFoundError: there is no such recovery.
        RecoveryStateError: it has not ended, or it has regenerated nothing.
        DatabaseUnavailableError, StorageUnavailableError: a retry continues.
    """

    def begin(connection: Connection) -> Sequence[Any]:
        recovery = read_recovery(connection, recovery_id)
        if "regenerate" not in recovery.filter:
            raise RecoveryStateError(f"recovery {recovery_id} has replaced no saved items")
        if recovery.ended_at is None:
            raise RecoveryStateError(f"recovery {recovery_id} is {recovery.state}: cancel it first")
        return read_tasks_to_undo(connection, recovery_id)

    reason = f"undo of {recovery_id}" + (f": {why}" if why else "")
    for row in transact(services.engine, begin, deadline):
        undo = _TaskUndo(services, recovery_id, row.task_id, row.attempt, actor, reason, deadline)
        if not undo.process(decode_revisions(row.items)):
            break
    counts = transact(services.engine, count_undone, deadline, recovery_id)
    logger.info("recovery_undone", recovery_id=recovery_id, actor=actor, **counts)
    return UndoAnswer(recovery_id=recovery_id, complete=not counts["tasks_left"], **counts)


class _TaskUndo(NamedTuple):
    services: Services
    recovery_id: str
    task_id: str
    attempt: int
    actor: str
    reason: str
    deadline: Deadline

    def process(self, before: Mapping[Item, str]) -> bool:
        """Restore the items and record the result; `False` if the time was up."""
        results: Counter[Undone] = Counter()
        left_alone = []
        for item, revision in before.items():
            if self.deadline.remaining < UNDO_SECONDS:
                return False
            try:
                results[self._undo(item, revision)] += 1
            except TransientError:
                raise
            except ContentError as refusal:
                left_alone.append(LeftAlone(**item._asdict(), reason=_reason(refusal)))
        report = TaskUndo(
            restored=results[Undone.RESTORED],
            not_replaced=results[Undone.NOT_REPLACED],
            left_alone=left_alone,
        ).model_dump(mode="json")
        transact(self.services.engine, record_undone, self.deadline, self.recovery_id, self.task_id, report)
        return True

    def _undo(self, item: Item, before: str) -> Undone:
        def decide(connection: Connection) -> tuple[Undone, str | None, str | None]:
            roadmap_id = read_task(connection, self.task_id).roadmap_id or ""
            current = current_revisions(connection, roadmap_id, [item]).get(item)
            origin = current and origin_of(connection, roadmap_id, item, current)
            undo = undo_of(before, current, origin or None, self.task_id, self.attempt)
            if undo is not Undone.RESTORE:
                return undo, current, None
            revisions = revisions_of(connection, roadmap_id, item)
            return (
                undo,
                current,
                next((row.revision_id for row in revisions if row.content_id == before), None),
            )

        undo, current, revision_id = transact(self.services.engine, decide, self.deadline)
        if undo is Undone.CHANGED_SINCE:
            raise ChangedSinceError("the item has been changed since")
        if undo is not Undone.RESTORE:
            return undo
        if revision_id is None:
            raise ItemNotFoundError("the former content is no longer kept")
        restore = Restore(self.services, item, revision_id, Author(self.actor, self.reason), current)
        try:
            answer = restore.of_task(self.task_id, None, self.deadline)
        except ChangedSinceError:
            # Also if a COMMIT of this restore got no answer and was repeated.
            if transact(self.services.engine, decide, self.deadline)[0] is not Undone.RESTORED:
                raise
        else:
            if not answer.restored and current is not None:
                self._record_as_restored(item, current, before)
        return Undone.RESTORED

    def _record_as_restored(self, item: Item, current: str, before: str) -> None:
        """Record that the content equals the one before, so that an earlier regeneration can be undone."""

        def record(connection: Connection) -> None:
            roadmap_id = read_task(connection, self.task_id).roadmap_id or ""
            record_restored(connection, roadmap_id, item, current, before, self.actor, self.reason)

        transact(self.services.engine, record, self.deadline)


def _reason(refusal: ContentError) -> str:
    return refusal.code if isinstance(refusal, ChangedSinceError) else f"{refusal.code}: {refusal}"[:500]
