"""Write the rows and failures of a batch in one transaction, and report them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Connection, text

from ...content.kind import ContentKind, save_parameters
from ...content.manifest import Batch
from ...content.registry import CONTENT_KINDS
from ...content.revision_records import record_refused
from ...content.roadmaps.metadata import lock_roadmap
from ...content.rows import saved_since
from ...contracts.errors import (
    IdTakenError,
    NotStagedError,
    PermanentError,
    RoadmapNotFoundError,
    TaskCancelledError,
    VersionTakenError,
)
from ...contracts.items import Failure, Item, Stage
from ...contracts.payloads import BatchRequest, Origin
from ...platform.postgres.transactions import (
    DataRefusedError,
    is_in_parts,
    savepoint,
    transact_in_parts,
    undone_alone,
)
from ...platform.runtime.deadline import Deadline
from ...state.failures.failures import record_failures
from ...state.services import Services
from ...state.tasks.task import why_stopped
from .entries import Entry, Prepared, failure_of
from .reporting import Saved, report_batch

# By the status that a save statement returns for a row that it has not written.
_REFUSALS: Mapping[str, PermanentError] = {
    "id_taken": IdTakenError("the id belongs to another concept or roadmap"),
    "version_taken": VersionTakenError("the concept has another row of this version"),
}


@dataclass(frozen=True)
class Writer:
    """Writes the items of one batch. `origins`: of the contents that were read."""

    request: BatchRequest
    services: Services
    batch: Batch
    origins: Mapping[Item, Origin]

    def save(self, prepared: Prepared, deadline: Deadline) -> list[Failure]:
        """Save rows and record failures in one transaction; return all failures.

        Raises:
            TaskCancelledError: the attempt is cancelled, and nothing was written.
            DatabaseUnavailableError: transient errors until the time was up.
        """
        # In parts if a statement fails because of a row that its own checks have accepted.
        return transact_in_parts(self.services.engine, self._save, deadline, prepared)

    def _save(self, connection: Connection, prepared: Prepared) -> list[Failure]:
        """One try of the transaction: save the rows, record and report the results; return all failures."""
        plan, (ready, failed) = self.request.plan, prepared
        # Failures alone are recorded without a roadmap, and without its lock.
        has_roadmap = not ready or lock_roadmap(connection, plan.roadmap_id)
        reasons = why_stopped(connection, plan.task_id, plan.attempt, self.request.execution_arn)
        if reasons.cancelled:
            raise TaskCancelledError("the task was cancelled before its items were saved")
        saved_by_others = self._saved_by_others(connection, failed)
        failures = [failure for failure in failed if failure.item not in saved_by_others]
        kept = 0
        if has_roadmap and not reasons.roadmap_deleted:
            refused, kept = self._save_ready(connection, ready)
            failures += refused
        else:
            missing = RoadmapNotFoundError(f"there is no roadmap {plan.roadmap_id!r}")
            failures += [failure_of(entry.item, missing) for entry in ready]
        with undone_alone(connection, "failures_not_recorded"):
            self._record(connection, failures)
        not_saved = {failure.item for failure in failures}
        items = [entry.item for entry in ready if entry.item not in not_saved]
        names = {item: self.batch.concepts[item].name for item in items}
        # A first try that writes every row for the first time has reported nothing before.
        may_be_known = bool(kept or failures or saved_by_others or self.batch.replaces)
        saved = Saved(names, sorted(saved_by_others), failures, may_be_known)
        with undone_alone(connection, "batch_not_reported"):
            report_batch(self.services, connection, self.request, saved, has_log=reasons.has_log)
        return failures

    def _saved_by_others(self, connection: Connection, failed: Sequence[Failure]) -> frozenset[Item]:
        """The items that Generate did not stage because somebody else had saved them."""
        not_staged = [failure.item for failure in failed if failure.error_code == NotStagedError.code]
        if not not_staged:
            return frozenset()
        return saved_since(connection, self.request.plan.roadmap_id, not_staged, self.batch.replaces)

    def _save_ready(self, connection: Connection, ready: Sequence[Entry]) -> "Written":
        """Save the rows, by content type."""
        write = self._write_in_halves if is_in_parts(connection) else self._write
        written = Written([], 0)
        for kind in CONTENT_KINDS.values():
            if of_kind := [entry for entry in ready if entry.item.content_type is kind.content_type]:
                written = written.with_others(write(connection, kind, of_kind))
        return written

    def _record(self, connection: Connection, failures: Sequence[Failure]) -> None:
        """Record failures, and the origins of refused contents. That nothing was staged is a consequence of a
        failure of Generate, which stays if it is recorded.
        """
        plan = self.request.plan
        consequences = [failure for failure in failures if failure.stage is Stage.GENERATE]
        causes = [failure for failure in failures if failure.stage is not Stage.GENERATE]
        record_failures(connection, plan.task_id, plan.attempt, causes)
        record_failures(connection, plan.task_id, plan.attempt, consequences, keep=True)
        refused = [
            (failure, self.origins[failure.item])
            for failure in causes
            if failure.content_fingerprint is not None and failure.item in self.origins
        ]
        record_refused(connection, plan.roadmap_id, plan.task_id, plan.attempt, refused)

    def _write(self, connection: Connection, kind: ContentKind, ready: Sequence[Entry]) -> "Written":
        """Save rows of one content type, with one statement."""
        parameters = save_parameters(self.request.plan.roadmap_id, [entry.row for entry in ready])
        unwritten = connection.execute(text(kind.sql.save), parameters)
        return _written(ready, {row.concept_id: row.row_status for row in unwritten})

    def _write_in_halves(
        self, connection: Connection, kind: ContentKind, ready: Sequence[Entry]
    ) -> "Written":
        """Save rows; if the server refuses one, each half alone, until it is found. For k refused rows of n,
        that takes about 2 k (1 + log2(n / k)) statements, each with a savepoint.
        """
        try:
            with savepoint(connection, "rows"):
                return self._write(connection, kind, ready)
        except DataRefusedError as error:
            if len(ready) == 1:
                (entry,) = ready
                fingerprint = entry.content_fingerprint
                failure = Failure(entry.item, Stage.SAVE, error.sqlstate, str(error), False, fingerprint)
                return Written([failure], 0)
        middle = len(ready) // 2
        first, second = ready[:middle], ready[middle:]
        written = self._write_in_halves(connection, kind, first)
        return written.with_others(self._write_in_halves(connection, kind, second))


class Written(NamedTuple):
    """The result of saving rows."""

    failures: list[Failure]
    kept: int
    """The number of items that had a completed row."""

    def with_others(self, others: "Written") -> "Written":
        return Written(self.failures + others.failures, self.kept + others.kept)


def _written(ready: Sequence[Entry], unwritten: Mapping[str, str]) -> Written:
    """The result of a save statement; `unwritten` has the statuses of the rows that it has not written, by
    concept: `kept` for an item that had a completed row, otherwise why it was refused.
    """
    failures = []
    for entry in ready:
        status = unwritten.get(entry.item.concept_id, "written")
        if status not in ("written", "kept"):
            failures.append(failure_of(entry.item, _REFUSALS[status], entry.content_fingerprint))
    return Written(failures, len(unwritten) - len(failures))
