"""Save: write the staged rows of a batch in one transaction, with one statement per content type. An invalid
row does not affect the others.

Errors of the data or the database are not raised: a row that cannot be saved is recorded with its reason, and
the others are saved. Only programming errors are raised.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from ...content.manifest import read_batch
from ...contracts.errors import ContentError, TaskCancelledError, TransientError
from ...contracts.items import Failure, Item, count_by_type
from ...contracts.payloads import BatchReference, BatchRequest, Count, Payload, StateError
from ...platform.postgres.transactions import transact
from ...platform.runtime.collection import collection_paused
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.metrics import Metric, emit
from ...state.services import Services
from ...state.tasks.attempts import read_instruction
from .entries import Prepared
from .prepare import SavePreparation
from .write import Writer

READ_AT_ONCE = 60
"""Items that are read together. This number of the largest items fits into a function's memory. It is a
multiple of a concept's items, so that a transaction usually has all items of its concepts.
"""

TRANSACTION_BYTES = 4 * 1024 * 1024
"""Bytes of items that are saved in one transaction. Usually a whole batch is smaller."""


class SaveReport(Payload):
    """The counts of `save_batch` for a batch: the batch's items = saved + failed + not_started. `error` is
    set if the failures could not be recorded in the database; then Finalize records them.
    """

    batch: BatchReference
    saved: Count
    failed: Count
    not_started: Count = 0
    """Items of a cancelled attempt."""

    error: StateError | None = None


@collection_paused()
def save_batch(request: BatchRequest, services: Services, deadline: Deadline) -> SaveReport:
    """Save the staged items of a batch once, and record the reasons for the items that could not be saved.
    The items are saved in one transaction, or, if they are large, in several. Idempotent, also if batches
    overlap: of completed rows, only those that the attempt replaces are changed, once.
    """
    started = time.monotonic()
    plan, batch = request.plan, request.batch
    ids: dict[str, Any] = {"task_id": plan.task_id, "attempt": plan.attempt, "batch": batch.number}
    emit({Metric.ITEMS_PLANNED: batch.total})
    try:
        items = read_batch(services.bucket, plan.manifest, batch)
        instruction = None
        if items.replaces:
            subject = plan.task_id, plan.attempt
            instruction = transact(services.engine, read_instruction, deadline, *subject)
        preparer = SavePreparation(request, services, items, deadline, instruction)
        writer = Writer(request, services, items, preparer.origins)
        failures, not_started = _save_items(preparer, writer, list(items.concepts), deadline)
    except ContentError as error:
        logger.error("batch_save_failed", **ids, **error.why)
        is_refused = not isinstance(error, TransientError)
        emit({Metric.BATCHES_UNSAVED: 1, Metric.ITEMS_REFUSED: batch.total if is_refused else 0})
        for content_type, number in batch.items.items():
            emit({Metric.ITEMS_NOT_SAVED: number}, content_type)
        # The state machine collects the reports of all batches, and its data has a limit.
        unsaved = StateError(error=error.code, cause=str(error)[:100])
        return SaveReport(batch=batch, saved=0, failed=batch.total, error=unsaved)

    for failure in failures:
        name = f"{failure.item.content_type}_save_failed"
        logger.warning(name, **failure.item._asdict(), **failure.for_others.why)
    number_saved = len(items.concepts) - len(failures) - len(not_started)
    report = SaveReport(batch=batch, saved=number_saved, failed=len(failures), not_started=len(not_started))
    logger.info("batch_saved", **ids, **report.model_dump(include={"saved", "failed", "not_started"}))
    refused = sum(not failure.transient for failure in failures)
    emit({Metric.BATCH_SECONDS: time.monotonic() - started, Metric.ITEMS_REFUSED: refused})
    not_saved, not_begun = count_by_type(failure.item for failure in failures), count_by_type(not_started)
    for content_type, number in batch.items.items():
        saved = number - not_saved[content_type] - not_begun[content_type]
        emit({Metric.ITEMS_SAVED: saved, Metric.ITEMS_NOT_SAVED: not_saved[content_type]}, content_type)
    return report


def _save_items(
    preparer: SavePreparation, writer: Writer, items: Sequence[Item], deadline: Deadline
) -> tuple[list[Failure], Sequence[Item]]:
    """Save the items; return the failures, and the items that a cancel left out."""
    failures: list[Failure] = []
    done = 0
    try:
        for prepared in by_transaction(preparer, items):
            failures += writer.save(prepared, deadline)
            done += len(prepared.ready) + len(prepared.failed)
    except TaskCancelledError as cancelled:
        logger.info("batch_not_started", items=len(items) - done, reason=str(cancelled))
    return failures, items[done:]


def by_transaction(preparer: SavePreparation, items: Sequence[Item]) -> Iterator[Prepared]:
    """Prepare the items of a batch, as many for each transaction as its size allows, and at least those that
    are read together.
    """
    waiting = Prepared()
    for start in range(0, len(items), READ_AT_ONCE):
        prepared = preparer.prepare(items[start : start + READ_AT_ONCE])
        if waiting != Prepared() and waiting.size + prepared.size > TRANSACTION_BYTES:
            yield waiting
            waiting = Prepared()
        waiting = waiting.with_others(prepared)
    if waiting != Prepared():
        yield waiting
