"""Generate: stage the items that are not staged, and repair content that an earlier attempt refused."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import Connection

from ...content.course_texts import course_texts
from ...content.generation.generator import generator_named, learner_from
from ...content.generation.model import ModelThrottledError
from ...content.generation.quota import GenerationStoppedError
from ...content.manifest import read_batch
from ...content.revision_records import record_refused
from ...content.stored_texts import highest_versions
from ...contracts.errors import StaleAttemptError
from ...contracts.items import ContentType, Failure, Item, count_by_type
from ...contracts.payloads import BatchRequest, Count, Origin, Payload
from ...contracts.states import NextAction
from ...platform.postgres.transactions import transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.metrics import Metric, emit
from ...platform.storage.bucket import PARALLEL
from ...platform.storage.staging import Staging
from ...state.failures.failures import record_failures, refusals
from ...state.queue.claims import require_open
from ...state.services import Services
from ...state.tasks.attempts import add_generated, has_execution, read_instruction
from ...state.tasks.task import read_user_request
from .generate_item import BatchContext, ItemGeneration, Unprepared


class Outcomes(NamedTuple):
    """The numbers of items of a batch, by content type; together they are all items of the batch."""

    staged: Mapping[ContentType, int] = count_by_type([])
    generated: Mapping[ContentType, int] = count_by_type([])
    failed: Mapping[ContentType, int] = count_by_type([])
    waiting: Mapping[ContentType, int] = count_by_type([])
    not_started: Mapping[ContentType, int] = count_by_type([])


_COUNTED_AS: Mapping[NextAction | Unprepared, str] = {
    NextAction.GENERATE: "generated",
    NextAction.REJECT_AND_GENERATE: "generated",
    Unprepared.WAITING: "waiting",
    Unprepared.NOT_STARTED: "not_started",
}
"""The outcome of an item by the result of its preparation. The others were staged."""


class GenerateReport(Payload):
    """The counts of `generate_content` for a batch: planned is the sum of the others."""

    number: Count
    planned: Count
    staged: Count
    generated: Count
    failed: Count
    waiting: Count = 0
    """Items that are generated when an operator resumes generation."""

    not_started: Count = 0
    """Items of a cancelled attempt."""


def generate_content(request: BatchRequest, services: Services, deadline: Deadline) -> GenerateReport:
    """Stage every item of a batch so that it can be saved; record the items that failed.

    Raises:
        TaskNotFoundError, TaskCancelledError, StaleAttemptError: the attempt is over, or belongs to another
            execution or to an earlier life of the task, and must not cause costs.
        GenerationStoppedError: some items wait. The others were staged, and are not generated again.
        DatabaseUnavailableError, StorageUnavailableError: the batch was not processed. Its staged items can
        still be saved, and the state machine continues with Save.
    """
    plan, batch = request.plan, request.batch
    # If a staged item has been removed since the plan, Save reports it, and the next attempt generates it.
    outcomes = Outcomes(batch.items) if batch.staged else _prepare(request, services, deadline)
    for content_type in batch.items:
        counts = {
            Metric.ITEMS_STAGED: outcomes.staged[content_type],
            Metric.ITEMS_GENERATED: outcomes.generated[content_type],
            Metric.ITEMS_NOT_GENERATED: outcomes.failed[content_type],
        }
        emit(counts, content_type)
    totals = {name: sum(counts.values()) for name, counts in outcomes._asdict().items()}
    report = GenerateReport(number=batch.number, planned=batch.total, **totals)
    logger.info("batch_staged", task_id=plan.task_id, attempt=plan.attempt, **report.model_dump(mode="json"))
    if report.waiting:
        raise GenerationStoppedError(
            f"{report.waiting} of {report.planned} items wait: generation is stopped"
        )
    return report


def _prepare(request: BatchRequest, services: Services, deadline: Deadline) -> Outcomes:
    """Prepare the items of a batch in threads, and record the failures and the numbers of generated items."""
    plan, batch = request.plan, request.batch
    items = read_batch(services.bucket, plan.manifest, batch)
    context = transact(services.engine, _read_context, deadline, request, items.concepts.keys())
    staged = Staging(services.bucket, plan.roadmap_id, items.replaces).listed(items.concepts)
    if services.generator is None:  # one for all batches of this process
        services.generator = generator_named(services.settings.generator, services.settings)
    generation = ItemGeneration(request, services, services.generator, deadline, items, staged, context)
    try:
        # Threads of its own: an item may take minutes.
        with ThreadPoolExecutor(PARALLEL) as pool:
            results = dict(zip(items.concepts, pool.map(generation.prepare, items.concepts), strict=True))
    finally:
        generation.locks.close()
        generation.quota.close()
    failures = [result for result in results.values() if isinstance(result, Failure)]
    throttled = sum(failure.error_code == ModelThrottledError.code for failure in failures)
    # With the generated items, at the end of the batch: an alarm compares them.
    emit(
        {
            Metric.ITEMS_REFUSED: sum(not failure.transient for failure in failures),
            Metric.ITEMS_THROTTLED: throttled,
        }
    )
    counted: dict[str, list[Item]] = {}
    for item, result in results.items():
        name = "failed" if isinstance(result, Failure) else _COUNTED_AS.get(result, "staged")
        counted.setdefault(name, []).append(item)
    outcomes = Outcomes(**{name: count_by_type(alike) for name, alike in counted.items()})
    if failures or "generated" in counted:
        _record(request, outcomes, failures, generation.refused, services, deadline)
    return outcomes


def _record(
    request: BatchRequest,
    outcomes: Outcomes,
    failures: Sequence[Failure],
    refused: Mapping[Item, Origin],
    services: Services,
    deadline: Deadline,
) -> None:
    """Record failures, the origins of refused answers, and the numbers of generated items, each once.
    Raises StaleAttemptError: the attempt is one of an earlier life of the task.
    """
    subject = request.plan.task_id, request.plan.attempt
    origins = [(failure, refused[failure.item]) for failure in failures if failure.item in refused]
    earlier: str | None = None  # the transaction of the last try: its COMMIT may have got no answer

    def record(connection: Connection) -> None:
        nonlocal earlier
        if not has_execution(connection, *subject, request.execution_arn):
            raise StaleAttemptError(f"{request.execution_arn} is of an earlier life of the task")
        record_failures(connection, *subject, failures)
        record_refused(connection, request.plan.roadmap_id, *subject, origins)
        if any(outcomes.generated.values()):
            counted = add_generated(connection, *subject, outcomes.generated, earlier=earlier)
            earlier = counted or earlier  # nothing is returned if the last try has counted them

    transact(services.engine, record, deadline)


def _read_context(connection: Connection, request: BatchRequest, items: Collection[Item]) -> BatchContext:
    """Read the data for the items of a batch.
    Raises TaskNotFoundError, TaskCancelledError, StaleAttemptError: the attempt generates nothing more.
    """
    plan = request.plan
    require_open(connection, plan.task_id, plan.attempt, request.execution_arn)
    learner = learner_from(read_user_request(connection, plan.task_id))
    if not learner.language:  # the course's texts show it
        learner = replace(learner, course=course_texts(connection, plan.roadmap_id))
    return BatchContext(
        refusals(connection, plan.task_id, items),
        highest_versions(connection, plan.roadmap_id, items),
        learner,
        read_instruction(connection, plan.task_id, plan.attempt),
    )
