"""Save: write all staged rows of a batch in one transaction, with one statement per content type. An invalid
row does not affect the others.

Errors of the data or the database are not raised: a row that cannot be saved is recorded with its reason, and
the others are saved. Only programming errors are raised.
"""

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection, Engine, text

from ...content.kind import ContentKind, Row, require_indexable, save_parameters
from ...content.manifest import read_batch
from ...content.origin_records import record_refused
from ...content.origins import with_origin
from ...content.product.execution_logs import concept_completed_entry, write_log
from ...content.registry import CONTENT_KINDS
from ...content.roadmaps.framework import Concept
from ...content.roadmaps.metadata import lock_roadmap
from ...content.rows import complete_concepts, saved_since
from ...content.verdicts import Accepted, Rejected, corrected, read_answer
from ...contracts.documents import Document
from ...contracts.errors import (
    ConceptIdTooLongError,
    ContentCheckFailedError,
    ContentError,
    IdTakenError,
    InvalidContentError,
    NotStagedError,
    PermanentError,
    RoadmapNotFoundError,
    StorageUnavailableError,
    TaskCancelledError,
    TransientError,
    VersionTakenError,
)
from ...contracts.events import batch_saved, concept_completed, item_failed, item_saved
from ...contracts.items import ContentType, Failure, Item, Stage, count_by_type
from ...contracts.origin import Origin
from ...contracts.payloads import BatchReference, BatchRequest, Count, Payload, StateError
from ...platform.aws.content_check import ContentCheck, TooMuchToCheckError
from ...platform.postgres.partial_save import save_in_parts
from ...platform.postgres.transactions import RESERVE, DataRefusedError, transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.metrics import Metric, emit
from ...platform.storage.bucket import ObjectTooLargeError, in_parallel
from ...platform.storage.keys import fingerprint
from ...platform.storage.staging import Staging, fingerprint_of_large
from ...state.failures.failures import record_failures
from ...state.outbox import record_events
from ...state.services import Services
from ...state.tasks.task import why_stopped

PORTION = 64
"""Items that are read together. This number of the largest items fits into a function's memory."""

PORTION_BYTES = 4 * 1024 * 1024
"""Bytes of items that are saved in one transaction. Usually a whole batch is smaller."""

PART = 10
"""Rows per part if a statement failed because of an unknown row: few rows per part, and few parts."""


_REFUSALS: Mapping[str, PermanentError] = {
    "id_taken": IdTakenError("the id belongs to another concept or roadmap"),
    "version_taken": VersionTakenError("the concept has another row of this version"),
}


class SaveReport(Payload):
    """The counts of `save_batch` for a batch: the batch's items = saved + failed + not_started.

    `error` is set if the failures could not be recorded in the database; then Finalize records them.
    """

    batch: BatchReference
    saved: Count
    failed: Count
    not_started: Count = 0
    """Items of a cancelled attempt."""

    error: StateError | None = None


class Ready(NamedTuple):
    """An item that is ready to be saved."""

    item: Item
    name: str
    row: Row
    content_fingerprint: str
    size: int
    """Bytes of the staged content."""


class Validated(NamedTuple):
    """An item whose content matches its contract."""

    ready: Ready
    content: Document


def save_batch(request: BatchRequest, services: Services, deadline: Deadline) -> SaveReport:
    """Save the staged items of a batch once, and record the reasons for the items that could not be saved.

    The items are saved in one transaction, or, if they are large, in one for each portion.

    Idempotent, also if batches overlap: a completed row is never changed.
    """
    started = time.monotonic()
    plan, batch = request.plan, request.batch
    emit({Metric.ITEMS_PLANNED: batch.total})
    try:
        concepts, replaces = read_batch(services.bucket, plan.manifest, batch)
        saver = Saver(request, services, concepts, replaces, deadline)
        failures, not_started = _save_portions(saver, list(concepts), services.engine, deadline)
    except ContentError as error:
        logger.error(
            "batch_save_failed",
            task_id=plan.task_id,
            attempt=plan.attempt,
            batch=batch.number,
            error_code=error.code,
            reason=str(error),
        )
        is_refused = not isinstance(error, TransientError)
        emit({Metric.BATCHES_UNSAVED: 1, Metric.ITEMS_REFUSED: batch.total if is_refused else 0})
        for content_type, number in batch.items.items():
            emit({Metric.ITEMS_NOT_SAVED: number}, content_type)
        unsaved = StateError(error=error.code, cause=str(error)[:100])
        return SaveReport(batch=batch, saved=0, failed=batch.total, error=unsaved)

    for failure in failures:
        logger.warning(
            f"{failure.item.content_type}_save_failed",
            **failure.item._asdict(),
            stage=failure.stage,
            error_code=failure.error_code,
            reason=failure.reason,
        )
    report = SaveReport(
        batch=batch,
        saved=len(concepts) - len(failures) - len(not_started),
        failed=len(failures),
        not_started=len(not_started),
    )
    logger.info(
        "batch_saved",
        task_id=plan.task_id,
        attempt=plan.attempt,
        batch=batch.number,
        saved=report.saved,
        failed=report.failed,
        not_started=report.not_started,
    )
    refused = sum(not failure.transient for failure in failures)
    emit({Metric.BATCH_SECONDS: time.monotonic() - started, Metric.ITEMS_REFUSED: refused})
    not_saved, not_begun = count_by_type(failure.item for failure in failures), count_by_type(not_started)
    for content_type, number in batch.items.items():
        saved = number - not_saved[content_type] - not_begun[content_type]
        emit({Metric.ITEMS_SAVED: saved, Metric.ITEMS_NOT_SAVED: not_saved[content_type]}, content_type)
    return report


def _save_portions(
    saver: "Saver", items: Sequence[Item], engine: Engine, deadline: Deadline
) -> tuple[list[Failure], Sequence[Item]]:
    """Save the items in portions; return the failures, and the items that a cancel left out."""
    failures: list[Failure] = []
    done = 0
    try:
        for prepared in portions(saver, items):
            ready = [outcome for outcome in prepared if isinstance(outcome, Ready)]
            failed = [outcome for outcome in prepared if isinstance(outcome, Failure)]
            failures += saver.save(engine, ready, failed, deadline)
            done += len(prepared)
    except TaskCancelledError as cancelled:
        logger.info("batch_not_started", items=len(items) - done, reason=str(cancelled))
    return failures, items[done:]


def portions(saver: "Saver", items: Sequence[Item]) -> Iterator[list[Ready | Failure]]:
    """Prepare the items of a batch, in portions that are limited by size."""
    waiting: list[Ready | Failure] = []
    waiting_bytes = 0
    for start in range(0, len(items), PORTION):
        prepared = saver.prepare(items[start : start + PORTION])
        size = sum(outcome.size for outcome in prepared if isinstance(outcome, Ready))
        if waiting and waiting_bytes + size > PORTION_BYTES:
            yield waiting
            waiting, waiting_bytes = [], 0
        waiting += prepared
        waiting_bytes += size
    if waiting:
        yield waiting


class Saver:
    """Saves the items of one batch: `prepare` each of them, then `save` all in one transaction."""

    def __init__(
        self,
        request: BatchRequest,
        services: Services,
        concepts: Mapping[Item, Concept],
        replaces: Mapping[Item, str] | None = None,
        deadline: Deadline | None = None,
    ) -> None:
        self._plan = request.plan
        self._concepts = concepts
        self._batch = request.batch
        self._generate_error = request.generate_error
        self._services = services
        self._deadline = deadline or Deadline.after(float("inf"))
        self._bucket = services.bucket
        self._replaces = replaces or {}
        self._staging = Staging(services.bucket, request.plan.roadmap_id, replaces)
        self._origins: dict[Item, Origin] = {}

    def prepare(self, items: Sequence[Item]) -> list[Ready | Failure]:
        """Read and validate the staged content of items, and publish the parts that are not in their rows.

        The threads only wait for S3: threads that compute would slow each other down, because one interpreter
        runs one of them at a time.
        """
        validated = list(map(self._validate, items, in_parallel(self._read, items)))
        return in_parallel(self._publish, self._check(validated))

    def _check(self, validated: Sequence[Validated | Failure]) -> list[Validated | Failure]:
        """Ask the product's check, if there is one, about all of these contents at once."""
        check = self._services.content_check
        to_check = [
            each
            for each in validated
            if check is not None and not isinstance(each, Failure) and self._is_checked(each.ready.item)
        ]
        if check is None or not to_check:
            return list(validated)
        checked = self._ask(check, to_check)
        return [
            each if isinstance(each, Failure) else checked.get(each.ready.item, each) for each in validated
        ]

    def _ask(self, check: ContentCheck, to_check: Sequence[Validated]) -> dict[Item, Validated | Failure]:
        """Ask the check, with one call, or with more if the contents do not fit into one."""
        try:
            answer = check.ask(self._question(to_check), self._deadline.remaining - RESERVE)
            verdicts = read_answer(answer, len(to_check))
        except ContentCheckFailedError as error:
            if isinstance(error, TooMuchToCheckError) and len(to_check) > 1:
                middle = len(to_check) // 2
                return self._ask(check, to_check[:middle]) | self._ask(check, to_check[middle:])
            return {each.ready.item: self._unchecked(each, error) for each in to_check}
        return {
            each.ready.item: self._judged(each, verdict)
            for each, verdict in zip(to_check, verdicts, strict=True)
        }

    def _is_checked(self, item: Item) -> bool:
        return self._services.settings.checks_all_content or self._origins[item].generator != "product"

    def _question(self, to_check: Sequence[Validated]) -> Document:
        plan = self._plan
        return {
            "task_id": plan.task_id,
            "roadmap_id": plan.roadmap_id,
            "attempt": plan.attempt,
            "items": [
                {
                    **ready.item._asdict(),
                    "concept_name": ready.name,
                    "origin": self._origins[ready.item].model_dump(mode="json"),
                    "content": content,
                }
                for ready, content in to_check
            ],
        }

    def _judged(
        self, validated: Validated, verdict: Accepted | Rejected | ContentCheckFailedError
    ) -> Validated | Failure:
        """The result of a verdict. An unusable one fails its item: it may have been a rejection."""
        ready, content = validated
        if isinstance(verdict, ContentCheckFailedError):
            return _failure(ready.item, verdict)
        if isinstance(verdict, Rejected):
            reason, code = verdict.reason, verdict.error_code
            return Failure(ready.item, Stage.SAVE, code, reason, False, ready.content_fingerprint)
        if verdict.content is None:
            return validated
        try:
            new = corrected(CONTENT_KINDS[ready.item.content_type], content, verdict.content)
        except ContentCheckFailedError as error:
            return _failure(ready.item, error)
        logger.info("content_corrected", item=ready.item)
        return self._validated(ready.item, new, ready.content_fingerprint, ready.size)

    def _unchecked(self, validated: Validated, error: ContentCheckFailedError) -> Validated | Failure:
        """The result for content about which the check has not answered."""
        item = validated.ready.item
        passes = self._services.settings.saves_unchecked_content
        logger.warning("content_not_checked", item=item, reason=str(error), passes=passes)
        return validated if passes else _failure(item, error)

    def _read(self, item: Item) -> bytes | Failure:
        try:
            require_indexable(self._plan.roadmap_id, item.concept_id)
            staged = self._staging.get(item)
        except ObjectTooLargeError as error:
            return _failure(item, error, fingerprint_of_large(error))
        except (ConceptIdTooLongError, StorageUnavailableError) as error:
            return _failure(item, error)
        if staged is None:
            return self._not_staged(item)
        self._origins[item] = Origin.of_metadata(staged.metadata)
        return staged.body

    def _validate(self, item: Item, body: bytes | Failure) -> Validated | Failure:
        if isinstance(body, Failure):
            return body
        kind = CONTENT_KINDS[item.content_type]
        try:
            content = kind.parse(body)
        except InvalidContentError as error:
            return _failure(item, error, fingerprint(body))
        return self._validated(item, content, fingerprint(body), len(body))

    def _validated(self, item: Item, content: Document, content_fingerprint: str, size: int) -> Validated:
        plan = self._plan
        row = CONTENT_KINDS[item.content_type].to_row(plan.roadmap_id, item.concept_id, content)
        row = with_origin(row, self._origins[item], plan.task_id, plan.attempt, content_fingerprint)
        if item in self._replaces:
            row["replaces"] = self._replaces[item]
        return Validated(Ready(item, self._concepts[item].name, row, content_fingerprint, size), content)

    def _publish(self, validated: Validated | Failure) -> Ready | Failure:
        if isinstance(validated, Failure):
            return validated
        ready, content = validated
        publish = CONTENT_KINDS[ready.item.content_type].publish
        try:
            if publish is not None:
                publish(self._bucket, ready.row, content)
        except StorageUnavailableError as error:
            return _failure(ready.item, error)
        return ready

    def _not_staged(self, item: Item) -> Failure:
        """The failure of an item that is not staged. If Generate recorded the cause, that record is kept."""
        error = self._generate_error
        reason = "nothing is staged for the item" if error is None else f"{error.error}: {error.reason}"
        return Failure(item, Stage.GENERATE, NotStagedError.code, reason, transient=True)

    def save(
        self, engine: Engine, ready: Sequence[Ready], failed: Sequence[Failure], deadline: Deadline
    ) -> list[Failure]:
        """Save rows and record failures in one transaction; return all failures.

        Raises:
            TaskCancelledError: the attempt is cancelled, and nothing was written.
            DatabaseUnavailableError: transient errors until the time was up.
        """
        try:
            return transact(engine, lambda connection: self._save(connection, ready, failed), deadline)
        except DataRefusedError as refusal:
            # The statement failed because of a row that its own checks had accepted.
            batch, sqlstate = self._batch.number, refusal.sqlstate
            logger.warning("batch_saved_in_parts", batch=batch, sqlstate=sqlstate, reason=str(refusal))
        return transact(
            engine, lambda connection: self._save(connection, ready, failed, in_parts=True), deadline
        )

    def _save(
        self,
        connection: Connection,
        ready: Sequence[Ready],
        failed: Sequence[Failure],
        *,
        in_parts: bool = False,
    ) -> list[Failure]:
        plan = self._plan
        has_roadmap = not ready or lock_roadmap(connection, plan.roadmap_id)
        reasons = why_stopped(connection, plan.task_id, plan.attempt)
        if reasons.cancelled:
            raise TaskCancelledError("the task was cancelled before its items were saved")
        failures = self._without_saved(connection, failed)
        by_others = {failure.item for failure in failed} - {failure.item for failure in failures}
        if has_roadmap and not reasons.roadmap_deleted:
            failures += self._save_ready(connection, ready, in_parts=in_parts)
        else:
            missing = RoadmapNotFoundError(f"there is no roadmap {plan.roadmap_id!r}")
            failures += [_failure(entry.item, missing) for entry in ready]
        consequences = [failure for failure in failures if failure.stage is Stage.GENERATE]
        causes = [failure for failure in failures if failure.stage is not Stage.GENERATE]
        record_failures(connection, plan.task_id, plan.attempt, causes)
        record_failures(connection, plan.task_id, plan.attempt, consequences, keep=True)
        refused = [
            (failure, self._origins[failure.item])
            for failure in causes
            if failure.content_fingerprint is not None and failure.item in self._origins
        ]
        record_refused(connection, plan.roadmap_id, plan.task_id, plan.attempt, refused)
        self._report(connection, ready, failures, by_others)
        return failures

    def _save_ready(self, connection: Connection, ready: Sequence[Ready], *, in_parts: bool) -> list[Failure]:
        """Save items under the lock of their roadmap; return the failures."""
        write = self._write_in_parts if in_parts else self._write
        failures: list[Failure] = []
        for kind in CONTENT_KINDS.values():
            if of_kind := [entry for entry in ready if entry.item.content_type is kind.content_type]:
                failures += write(connection, kind, of_kind)
        return failures

    def _without_saved(self, connection: Connection, failed: Sequence[Failure]) -> list[Failure]:
        """The failures without the items that Generate did not stage because somebody else had saved them."""
        not_staged = [failure.item for failure in failed if failure.error_code == NotStagedError.code]
        if not not_staged:
            return list(failed)
        saved = saved_since(connection, self._plan.roadmap_id, not_staged, self._replaces)
        return [failure for failure in failed if failure.item not in saved]

    def _report(
        self,
        connection: Connection,
        ready: Sequence[Ready],
        failures: Sequence[Failure],
        by_others: Collection[Item],
    ) -> None:
        """Record the events of the batch and of the concepts that it completes.

        A page that fills itself also needs the items that the product has saved meanwhile.
        """
        plan, batch = self._plan, self._batch
        lost = {failure.item for failure in failures}
        not_saved = count_by_type(lost)
        saved = {entry.item: entry.name for entry in ready if entry.item not in lost}
        names = {item.concept_id: name for item, name in saved.items()}
        complete = complete_concepts(connection, plan.roadmap_id, list(names))
        completed = {concept_id: names[concept_id] for concept_id in complete}
        subject = plan.task_id, plan.roadmap_id, plan.attempt
        record_events(
            self._services,
            connection,
            [
                *(item_saved(*subject, item) for item in [*saved, *sorted(by_others)]),
                *(item_failed(*subject, failure) for failure in failures),
                *(concept_completed(*subject, *concept) for concept in completed.items()),
                *(
                    batch_saved(*subject, batch.number, name, number - not_saved[name], not_saved[name])
                    for name, number in batch.items.items()
                ),
            ],
        )
        entries = [
            concept_completed_entry(*subject, *concept, completed=list(ContentType))
            for concept in completed.items()
        ]
        write_log(connection, entries)

    def _write(self, connection: Connection, kind: ContentKind, ready: Sequence[Ready]) -> list[Failure]:
        """Save rows with one statement; return the rows that it refused."""
        refused = connection.execute(text(kind.save_sql), self._parameters(ready)).all()
        return _refusals(ready, [(row.concept_id, row.row_status) for row in refused])

    def _write_in_parts(
        self, connection: Connection, kind: ContentKind, ready: Sequence[Ready], size: int = PART
    ) -> list[Failure]:
        """Save rows in parts of `size`, and the rows of failed parts one by one."""
        parts = [ready[start : start + size] for start in range(0, len(ready), size)]
        outcome = save_in_parts(connection, kind.save_sql, [self._parameters(part) for part in parts])
        failures = _refusals(ready, outcome.refusals)
        suspects = [entry for number in outcome.refused for entry in parts[number]]
        if suspects and size > 1:
            return failures + self._write_in_parts(connection, kind, suspects, 1)
        return failures + [
            Failure(entry.item, Stage.SAVE, refusal.sqlstate, str(refusal), False, entry.content_fingerprint)
            for entry, refusal in zip(suspects, outcome.refused.values(), strict=True)
        ]

    def _parameters(self, ready: Sequence[Ready]) -> dict[str, str]:
        return save_parameters(self._plan.roadmap_id, [entry.row for entry in ready])


def _refusals(ready: Sequence[Ready], refusals: Sequence[tuple[str, str]]) -> list[Failure]:
    """The failures of the rows, of one content type, that the save statement refused."""
    by_concept = {entry.item.concept_id: entry for entry in ready if refusals}
    return [
        _failure(entry.item, _REFUSALS[row_status], entry.content_fingerprint)
        for concept_id, row_status in refusals
        for entry in [by_concept[concept_id]]
    ]


def _failure(item: Item, error: ContentError, content_fingerprint: str | None = None) -> Failure:
    transient = isinstance(error, TransientError)
    return Failure(item, Stage.SAVE, error.code, str(error), transient, content_fingerprint)
