"""`POST /api/v1/recoveries/{recovery_id}/undo`: restore the former contents after a regeneration."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from ...api.restores import Author, Restore
from ...content.revision_records import origin_of, revisions_of
from ...content.rows import current_revisions
from ...contracts.api.recoveries import LeftAlone, TaskUndo, UndoAnswer
from ...contracts.errors import ChangedSinceError, ContentError, ItemNotFoundError, TransientError
from ...contracts.items import MAX_REASON, Item
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
    services: Services,
    recovery_id: str,
    actor: str,
    deadline: Deadline,
    why: str | None = None,
    *,
    dry_run: bool = False,
) -> UndoAnswer:
    """Restore the revision that each item had before a regeneration, item by item; `why` is in its origin.
    With `dry_run`, only count what an undo has done so far, and the tasks that are left.

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
    rows = transact(services.engine, begin, deadline)
    if dry_run:
        rows = []
    for row in rows:
        claim = row.task_id, row.attempt, row.started_at
        undo = _TaskUndo(services, recovery_id, *claim, actor, reason, deadline)
        if not undo.process(decode_revisions(row.items)):
            break
    counts = transact(services.engine, count_undone, deadline, recovery_id)
    if not dry_run:
        logger.info("recovery_undone", recovery_id=recovery_id, actor=actor, **counts)
    return UndoAnswer(recovery_id=recovery_id, complete=not counts["tasks_left"], **counts)


class _Decision(NamedTuple):
    """The decision about an item, according to the tables."""

    undo: Undone
    current: str | None
    """The revision of its content now."""

    revision_id: str | None
    """With `RESTORE`: the id of the former content among the item's revisions; `None`: it is not kept."""


class _TaskUndo(NamedTuple):
    """The undo of what a regeneration's `attempt` replaced in one task."""

    services: Services
    recovery_id: str
    task_id: str
    attempt: int
    claimed_at: datetime
    actor: str
    reason: str
    deadline: Deadline

    def process(self, before: Mapping[Item, str]) -> bool:
        """Restore the items to their revisions `before`, and record the result; `False` if the time was up:
        the next request looks at all of the task's items again.
        """
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
        """Restore the revision `before` of an item, unless that is not needed.
        Raises ContentError: the item is left alone, for this reason.
        """
        decision = transact(self.services.engine, self._decide, self.deadline, item, before)
        if decision.undo is Undone.CHANGED_SINCE:
            raise ChangedSinceError("the item has been changed since")
        if decision.undo is not Undone.RESTORE:
            return decision.undo
        if decision.revision_id is None:
            raise ItemNotFoundError("the former content is no longer kept")
        author = Author(self.actor, self.reason)
        restore = Restore(self.services, item, decision.revision_id, author, decision.current)
        try:
            restore.of_task(self.task_id, None, self.deadline)
        except ChangedSinceError:
            # Perhaps by this restore itself: its COMMIT got no answer, and it was repeated.
            again = transact(self.services.engine, self._decide, self.deadline, item, before)
            if again.undo is not Undone.RESTORED:
                raise
        return Undone.RESTORED

    def _decide(self, connection: Connection, item: Item, before: str) -> _Decision:
        roadmap_id = read_task(connection, self.task_id).roadmap_id or ""
        current = current_revisions(connection, roadmap_id, [item]).get(item)
        origin = written = None if current is None else origin_of(connection, roadmap_id, item, current)
        # A restored content has the number of its source's attempt, but not the time.
        while written is not None and written["restored_from"] is not None:
            written = origin_of(connection, roadmap_id, item, written["restored_from"])
        restored_from = None if origin is None else origin["restored_from"]
        undo = undo_of(before, current, restored_from, is_written=self._has_written(written))
        kept = revisions_of(connection, roadmap_id, item) if undo is Undone.RESTORE else ()
        former = next((revision.revision_id for revision in kept if revision.content_id == before), None)
        return _Decision(undo, current, former)

    def _has_written(self, origin: Mapping[str, Any] | None) -> bool:
        """Whether the attempt wrote the content with this origin. If the product has inserted the task's row
        again, another attempt may have its number: an earlier one wrote before the claim of this one, and a
        later one has another claim (`None`: the row of the attempt that wrote it is gone).
        """
        return (
            origin is not None
            and (origin["task_id"], origin["attempt"]) == (self.task_id, self.attempt)
            and origin["recorded_at"] >= self.claimed_at
            and origin["claimed_at"] in (None, self.claimed_at)
        )


def _reason(refusal: ContentError) -> str:
    if isinstance(refusal, ChangedSinceError):
        return refusal.code
    return f"{refusal.code}: {refusal}"[:MAX_REASON]
