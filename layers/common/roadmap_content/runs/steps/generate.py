"""Generate: stage the items that are not staged, and repair content that an earlier attempt refused."""

import json
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from typing import NamedTuple

from sqlalchemy import Connection, text

from ...content.adopted_text import draft_from_text
from ...content.generation.allowance import Allowance, Usage
from ...content.generation.budget import TaskBudget
from ...content.generation.generator import GenerationStoppedError, OutOfTimeError
from ...content.generation.item_locks import ItemLocks
from ...content.generation.learner import Learner, learner_from
from ...content.generation.quota import ModelQuota
from ...content.kind import Draft, require_indexable
from ...content.manifest import read_batch
from ...content.origin_records import record_refused
from ...content.registry import CONTENT_KINDS
from ...content.remedies import Remedy, remedy_for
from ...content.roadmaps.framework import Concept
from ...content.rows import saved_since
from ...contracts.documents import Document
from ...contracts.errors import (
    ContentError,
    InvalidContentError,
    ModelDeclinedError,
    RoadmapNotFoundError,
    TaskCancelledError,
    TransientError,
)
from ...contracts.items import ContentType, Failure, Item, RecordedFailure, Stage, count_by_type
from ...contracts.origin import Origin
from ...contracts.payloads import BatchRequest, Count, Payload
from ...platform.postgres.transactions import RESERVE, transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.metrics import Metric, emit
from ...platform.storage.bucket import PARALLEL
from ...platform.storage.keys import product_text_key
from ...platform.storage.staging import Staging
from ...state.failures.failures import record_failures, refusals
from ...state.queue.claims import require_open
from ...state.services import Services
from ...state.tasks.attempts import add_generated
from ...state.tasks.task import StopReasons, read_user_request, why_stopped

_IDS = uuid.UUID("6f4f5f0e-7d8a-5b42-9a53-6a1f0a3f5c11")
"""The namespace of generated ids. The same item of the same attempt always gets the same id."""


class StagedContentGoneError(TransientError):
    """Staged content was removed during this step."""

    code = "StagedContentGone"


class BatchContext(NamedTuple):
    """The database's data about the items of a batch, read before anything is staged."""

    refusals: Mapping[Item, Sequence[RecordedFailure]]
    """The refusals of the items' content, the latest first."""

    versions: Mapping[Item, int]
    """The highest version of each item that has one."""

    learner: Learner
    """The learner who requested the content."""

    is_bulk: bool
    """Whether the system started the attempt."""


class Unprepared(Enum):
    """Why an item was not prepared; neither is a failure of the item."""

    WAITING = "generation is stopped"
    NOT_STARTED = "the attempt is cancelled"


class Outcomes(NamedTuple):
    """The numbers of items of a batch, by content type; together they are all items of the batch."""

    staged: Mapping[ContentType, int]
    generated: Mapping[ContentType, int] = count_by_type([])
    failed: Mapping[ContentType, int] = count_by_type([])
    waiting: Mapping[ContentType, int] = count_by_type([])
    not_started: Mapping[ContentType, int] = count_by_type([])


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
        StaleAttemptError: the attempt has ended or belongs to another execution, and must not cause costs.
        GenerationStoppedError: some items wait. The others were staged, and are not generated again.
        DatabaseUnavailableError, StorageUnavailableError: the batch was not processed. Its staged items can
        still be saved, and the state machine continues with Save.
    """
    plan, batch = request.plan, request.batch
    # If a staged item has been removed since the plan, Save reports it as not staged, and the next attempt
    # generates it.
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
    plan, batch = request.plan, request.batch
    concepts, replaces = read_batch(services.bucket, plan.manifest, batch)
    known = transact(
        services.engine, lambda connection: _recall(connection, request, concepts.keys()), deadline
    )
    staging = Staging(services.bucket, plan.roadmap_id, replaces)
    preparation = _Preparation(request, services, deadline, concepts, known, staging, replaces)
    try:
        # Threads of its own: an item may take minutes.
        with ThreadPoolExecutor(PARALLEL) as pool:
            results = dict(zip(concepts, pool.map(preparation.prepare, concepts), strict=True))
    finally:
        preparation.locks.close()
        preparation.quota.close()
    failures = [result for result in results.values() if isinstance(result, Failure)]
    failed = [failure.item for failure in failures]
    emit({Metric.ITEMS_REFUSED: sum(not failure.transient for failure in failures)})
    generated = [item for item, result in results.items() if result in (Remedy.GENERATE, Remedy.REJECT)]
    waiting = [item for item, result in results.items() if result is Unprepared.WAITING]
    not_started = [item for item, result in results.items() if result is Unprepared.NOT_STARTED]
    outcomes = Outcomes(
        staged=count_by_type(concepts.keys() - {*generated, *failed, *waiting, *not_started}),
        generated=count_by_type(generated),
        failed=count_by_type(failed),
        waiting=count_by_type(waiting),
        not_started=count_by_type(not_started),
    )
    if failures or generated:
        _record(request, outcomes, failures, preparation.refused, services, deadline)
    return outcomes


def _record(
    request: BatchRequest,
    outcomes: Outcomes,
    failures: Sequence[Failure],
    refused: Mapping[Item, Origin],
    services: Services,
    deadline: Deadline,
) -> None:
    subject = request.plan.task_id, request.plan.attempt
    origins = [(failure, refused[failure.item]) for failure in failures if failure.item in refused]
    earlier: str | None = None

    def record(connection: Connection) -> None:
        nonlocal earlier
        record_failures(connection, *subject, failures)
        record_refused(connection, request.plan.roadmap_id, *subject, origins)
        if any(outcomes.generated.values()):
            counted = add_generated(connection, *subject, outcomes.generated, earlier=earlier)
            earlier = counted or earlier

    transact(services.engine, record, deadline)


def _recall(connection: Connection, request: BatchRequest, items: Collection[Item]) -> BatchContext:
    plan = request.plan
    require_open(connection, plan.task_id, plan.attempt, request.execution_arn)
    versions = {}
    for kind in CONTENT_KINDS.values():
        concept_ids = [item.concept_id for item in items if item.content_type is kind.content_type]
        if kind.versions_sql is not None and concept_ids:
            parameters = {"roadmap_id": plan.roadmap_id, "concept_ids": json.dumps(concept_ids)}
            for row in connection.execute(text(kind.versions_sql), parameters):
                versions[Item(row.concept_id, kind.content_type)] = row.version
    user_request, is_bulk = read_user_request(connection, plan.task_id)
    return BatchContext(
        refusals(connection, plan.task_id, items), versions, learner_from(user_request), is_bulk
    )


class _Preparation:
    """Prepares the items of one batch concurrently."""

    def __init__(
        self,
        request: BatchRequest,
        services: Services,
        deadline: Deadline,
        concepts: Mapping[Item, Concept],
        known: BatchContext,
        staging: Staging,
        replaces: Mapping[Item, str],
    ) -> None:
        self._plan = request.plan
        self._concepts = concepts
        self._bucket = services.bucket
        self._engine = services.engine
        self._staging = staging
        self._replaces = replaces
        self._generator = services.generator
        self._generator_name = services.settings.generator
        self.refused: dict[Item, Origin] = {}
        """The origins of answers that are not valid content, or that a model declined."""

        self._budget = TaskBudget(services.engine, services.settings, request.plan.task_id, deadline)
        self.quota = ModelQuota(services.engine, services.settings, deadline)
        self.locks = ItemLocks(services.engine, request.plan.roadmap_id, deadline)
        self._deadline = deadline
        self._known = known
        self._listed = self._staging.listed(concepts)

    def prepare(self, item: Item) -> Remedy | Failure | Unprepared:
        """Prepare one item; an error of this system is returned as the item's failure."""
        try:
            if self._deadline.remaining < 2 * RESERVE:
                raise OutOfTimeError("the invocation's time was up before the item was generated")
            require_indexable(self._plan.roadmap_id, item.concept_id)
            return self._apply(item)
        except GenerationStoppedError:
            return Unprepared.WAITING
        except TaskCancelledError:
            return Unprepared.NOT_STARTED
        except ContentError as error:
            logger.warning(
                "item_generation_failed", **item._asdict(), error_code=error.code, reason=str(error)
            )
            return Failure(item, Stage.GENERATE, error.code, str(error), isinstance(error, TransientError))

    def _apply(self, item: Item) -> Remedy:
        if item in self._listed and item not in self._known.refusals:
            return Remedy.KEEP
        with self.locks.held(item):
            return self._make_fit(item)

    def _make_fit(self, item: Item) -> Remedy:
        """Apply the item's current remedy. The previous holder of its lock may have prepared the item
        already.
        """
        remedy, refusal = self._remedy(item)
        if remedy in (Remedy.GENERATE, Remedy.REJECT) and self._is_saved_since_the_plan(item):
            logger.info("item_saved_since_the_plan", item=item)
            return Remedy.KEEP
        match remedy:
            case Remedy.KEEP:
                pass
            case Remedy.GENERATE:
                if item in self._known.refusals:  # a text that was refused before is not used again
                    self._generate(item, self._newest_text(item)[1])
                else:
                    self._adopt_or_generate(item)
            case Remedy.REJECT:
                assert refusal is not None  # noqa: S101 - only a refusal leads to rejection
                self._reject(item, refusal)
                self._generate(item, self._newest_text(item)[1], refusal[1].reason)
            case Remedy.NEW_ID:
                self._amend(item, lambda _: self._new_identity(item))
            case Remedy.NEXT_VERSION:
                # Above every row and above the refused version.
                highest = self._known.versions.get(item, 0)
                self._amend(
                    item, lambda content: {"content_version": max(highest, content["content_version"]) + 1}
                )
        return remedy

    def _remedy(self, item: Item) -> tuple[Remedy, RecordedFailure | None]:
        """The remedy for an item. Content is read only if it was refused, to check whether it is still
        staged.
        """
        refusals_of_item = self._known.refusals.get(item)
        if refusals_of_item is None:
            return (Remedy.KEEP if self._staging.holds(item) else Remedy.GENERATE), None
        return remedy_for(self._staging.fingerprint(item), refusals_of_item)

    def _generate(self, item: Item, version: int, refused: str | None = None) -> None:
        # Between the draft and its staging nothing else is done: a process that is killed there loses it.
        draft, origin = self._draft(item, refused)
        self._stage(item, draft.model_dump(mode="json"), version, origin)

    def _stage(self, item: Item, draft: Document, version: int, origin: Origin | None = None) -> None:
        kind = CONTENT_KINDS[item.content_type]
        content = kind.check(self._new_identity(item) | draft | kind.complete(draft, version))
        self._staging.write(item, content, origin)

    def _adopt_or_generate(self, item: Item) -> None:
        """Stage the newest text that is stored without a row, with its version; otherwise generate the item.

        Such a text was paid for, but its row was never saved.
        """
        newest, free = self._newest_text(item)
        draft = None if newest is None else draft_from_text(newest, self._concepts[item].name)
        if draft is None:
            self._generate(item, free)
            return
        self._stage(item, draft, free - 1)
        logger.info("tutorial_text_adopted", item=item, version=free - 1)

    def _newest_text(self, item: Item) -> tuple[bytes | None, int]:
        """The text of the highest version above all rows, and the first version for which none is stored."""
        newest = None
        free = self._known.versions.get(item, 0) + 1
        if CONTENT_KINDS[item.content_type].versions_sql is not None:
            while text := self._bucket.get(product_text_key(self._plan.roadmap_id, item.concept_id, free)):
                newest = text.body
                free += 1
        return newest, free

    def _is_saved_since_the_plan(self, item: Item) -> bool:
        """Whether somebody else has saved an item that would be generated. Generating it would be paid twice.

        Raises:
            TaskCancelledError: the task is cancelled. Read before each item, so that cancelling is effective
                soon.
            RoadmapNotFoundError: likewise, its roadmap is deleted.
            GenerationStoppedError: likewise, generation is stopped.
        """
        plan = self._plan

        def read(connection: Connection) -> tuple[StopReasons, frozenset[Item]]:
            return why_stopped(connection, plan.task_id, plan.attempt), saved_since(
                connection, plan.roadmap_id, [item], self._replaces
            )

        reasons, saved = transact(self._engine, read, self._deadline)
        if reasons.cancelled:
            raise TaskCancelledError("the task was cancelled before the item was generated")
        if reasons.roadmap_deleted:
            raise RoadmapNotFoundError(
                f"roadmap {plan.roadmap_id!r} was deleted before the item was generated"
            )
        if item in saved:
            return True
        if reasons.generation_stopped is not None:
            raise GenerationStoppedError(reasons.generation_stopped)
        return False

    def _draft(self, item: Item, refused: str | None) -> tuple[Draft, Origin]:
        """Generate the item, and count the used tokens even if it fails."""
        allowance = Allowance(self._deadline, self._budget, self.quota, is_bulk=self._known.is_bulk)
        try:
            draft = self._generator.generate(
                self._concepts[item],
                item.content_type,
                self._known.learner,
                allowance,
                *(() if refused is None else (refused,)),
            )
        except (InvalidContentError, ModelDeclinedError):
            self.refused[item] = self._origin(allowance)
            raise
        else:
            return draft, self._origin(allowance)
        finally:
            usage = allowance.usage
            if usage != Usage():
                emit(
                    {Metric.TOKENS_IN: usage.tokens_in, Metric.TOKENS_OUT: usage.tokens_out},
                    item.content_type,
                )
                logger.info("tokens_counted", **item._asdict(), **usage._asdict())

    def _origin(self, allowance: Allowance) -> Origin:
        return Origin(
            generator=self._generator_name,
            model_id=allowance.model_id,
            prompt_version=allowance.prompt_version,
            **allowance.usage._asdict(),
        )

    def _amend(self, item: Item, amend: Callable[[Document], Document]) -> None:
        """Stage the same content with another id or version, so that it is not paid for twice."""
        staged = self._staging.get(item)
        if staged is None:
            raise StagedContentGoneError("the staged content was removed")
        content = CONTENT_KINDS[item.content_type].parse(staged.body)
        self._staging.write(item, content | amend(content), Origin.of_metadata(staged.metadata))

    def _reject(self, item: Item, refusal: RecordedFailure) -> None:
        attempt, failure = refusal
        self._staging.reject(item, failure, attempt)
        logger.warning(
            "staged_content_rejected", item=item, error_code=failure.error_code, reason=failure.reason
        )

    def _new_identity(self, item: Item) -> Document:
        """The field with a new id. Deterministic, so that a repeated step stages the same content."""
        name = json.dumps([self._plan.task_id, self._plan.attempt, self._plan.roadmap_id, *item])
        return {CONTENT_KINDS[item.content_type].id_field: str(uuid.uuid5(_IDS, name))}
