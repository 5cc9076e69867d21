"""Generate: stage what is not staged, and heal what an earlier attempt could not save for what it is."""

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from .attempts import read_user_request
from .bucket import in_parallel
from .connections import Connections
from .content import CONTENT_KINDS, Document, Draft
from .contracts import BatchRequest, Count, Payload
from .deadline import Deadline
from .errors import ContentError, TransientError
from .failures import Seen, record_failures, refusals
from .framework import Concept
from .generation import Allowance, Learner, OutOfTimeError, Usage, learner_from
from .generation.budget import TaskBudget
from .generation.item_locks import ItemLocks
from .items import ContentType, Failure, Item, Stage
from .keys import fingerprint, tutorial_key
from .log import logger
from .manifest import read_batch
from .metrics import Metric, emit
from .remedies import Remedy, remedy_for
from .staging import Staging
from .transactions import RESERVE, transact

_IDS = uuid.UUID("6f4f5f0e-7d8a-5b42-9a53-6a1f0a3f5c11")
"""The namespace of ids that this system gives: the same item of the same attempt gets the same id twice."""


class StagedContentGoneError(TransientError):
    """Somebody took away what lay staged a moment ago."""


class Known(NamedTuple):
    """What the database knows of a batch's items before anything is staged."""

    refusals: Mapping[Item, Sequence[Seen]]
    """How the content of the task's items was refused so far, the latest first."""

    versions: Mapping[str, int]
    """The highest version of each concept that has one."""

    learner: Learner
    """Who asked for the content."""


class GenerateReport(Payload):
    """What became of a batch's items in `generate_content`: planned = staged + generated + failed."""

    number: Count
    content_type: ContentType
    planned: Count
    staged: Count
    generated: Count
    failed: Count


def generate_content(request: BatchRequest, connections: Connections, deadline: Deadline) -> GenerateReport:
    """Bring every item of a batch to be staged and fit to be saved; record those that could not be.

    Raises:
        DatabaseUnavailableError, StorageUnavailableError: nothing is known of the batch. What is staged
            can be saved all the same, and the state machine goes on to do so.
    """
    plan, batch = request.plan, request.batch
    concepts = read_batch(connections.bucket, plan.manifest, batch)
    known = transact(connections.engine, lambda connection: _recall(connection, request, concepts), deadline)
    preparation = _Preparation(request, connections, deadline, concepts, known)
    outcomes = in_parallel(preparation.prepare, concepts)
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    if failures:
        transact(
            connections.engine,
            lambda connection: record_failures(connection, plan.task_id, plan.attempt, failures),
            deadline,
        )
    report = GenerateReport(
        number=batch.number,
        content_type=batch.content_type,
        planned=len(concepts),
        staged=outcomes.count(Remedy.KEEP),
        generated=len(concepts) - outcomes.count(Remedy.KEEP) - len(failures),
        failed=len(failures),
    )
    counts = {
        Metric.ITEMS_STAGED: report.staged,
        Metric.ITEMS_GENERATED: report.generated,
        Metric.ITEMS_NOT_GENERATED: report.failed,
    }
    emit(counts, batch.content_type)
    logger.info("batch_staged", task_id=plan.task_id, attempt=plan.attempt, **report.model_dump(mode="json"))
    return report


def _recall(connection: Connection, request: BatchRequest, concepts: Sequence[Concept]) -> Known:
    plan, content_type = request.plan, request.batch.content_type
    concept_ids = [concept.concept_id for concept in concepts]
    versions_sql = CONTENT_KINDS[content_type].versions_sql
    versions = {}
    if versions_sql is not None:
        parameters = {"roadmap_id": plan.roadmap_id, "concept_ids": json.dumps(concept_ids)}
        versions = {row.concept_id: row.version for row in connection.execute(versions_sql, parameters)}
    learner = learner_from(read_user_request(connection, plan.task_id))
    return Known(refusals(connection, plan.task_id, content_type, concept_ids), versions, learner)


class _Preparation:
    """Prepares the items of one batch, several at once."""

    def __init__(
        self,
        request: BatchRequest,
        connections: Connections,
        deadline: Deadline,
        concepts: Sequence[Concept],
        known: Known,
    ) -> None:
        self._plan = request.plan
        self._kind = CONTENT_KINDS[request.batch.content_type]
        self._bucket = connections.bucket
        self._staging = Staging(connections.bucket, request.plan.roadmap_id)
        self._generator = connections.generator
        self._budget = TaskBudget(connections.engine, connections.settings, request.plan.task_id, deadline)
        self._locks = ItemLocks(connections.engine, request.plan.roadmap_id, deadline)
        self._deadline = deadline
        self._known = known
        self._listed = self._staging.listed(
            Item(concept.concept_id, self._kind.content_type) for concept in concepts
        )

    def prepare(self, concept: Concept) -> Remedy | Failure:
        """Do what an item needs; an error that has a name stays with the item."""
        item = Item(concept.concept_id, self._kind.content_type)
        try:
            if self._deadline.remaining < 2 * RESERVE:
                raise OutOfTimeError("the invocation's time was up before the item's turn came")
            return self._apply(item, concept)
        except ContentError as error:
            logger.warning("item_generation_failed", item=item, error_code=error.code, reason=str(error))
            return Failure(item, Stage.GENERATE, error.code, str(error), isinstance(error, TransientError))

    def _apply(self, item: Item, concept: Concept) -> Remedy:
        if item in self._listed and item not in self._known.refusals:
            return Remedy.KEEP
        with self._locks.held(item):
            return self._make_fit(item, concept)

    def _make_fit(self, item: Item, concept: Concept) -> Remedy:
        """Do what an item needs by now: whoever held its lock before may have done it."""
        remedy, refusal = self._remedy(item)
        match remedy:
            case Remedy.KEEP:
                pass
            case Remedy.GENERATE:
                self._generate(item, concept)
            case Remedy.REJECT:
                assert refusal is not None  # noqa: S101 - nothing else is a reason to reject
                self._reject(item, refusal)
                self._generate(item, concept)
            case Remedy.NEW_ID:
                self._amend(item, lambda _: {self._kind.id_field: self._new_id(item)})
            case Remedy.NEXT_VERSION:
                # Above every row, and above what was refused: a text may lie there without a row.
                highest = self._known.versions.get(item.concept_id, 0)
                self._amend(
                    item, lambda content: {"content_version": max(highest, content["content_version"]) + 1}
                )
        return remedy

    def _remedy(self, item: Item) -> tuple[Remedy, Seen | None]:
        """What an item needs. Only what was refused before is read, to see whether it still lies there."""
        refusals_of_item = self._known.refusals.get(item)
        if refusals_of_item is None:
            return (Remedy.KEEP if self._staging.holds(item) else Remedy.GENERATE), None
        body = self._staging.read(item)
        return remedy_for(None if body is None else fingerprint(body), refusals_of_item)

    def _generate(self, item: Item, concept: Concept) -> None:
        draft = self._draft(item, concept).model_dump(mode="json")
        content = self._kind.check(
            {self._kind.id_field: self._new_id(item)}
            | draft
            | self._kind.complete(draft, self._free_version(item))
        )
        self._staging.write(item, content)

    def _draft(self, item: Item, concept: Concept) -> Draft:
        """Have the item made, and count what that took, whether or not anything came of it."""
        allowance = Allowance(self._deadline, self._budget)
        try:
            return self._generator.generate(concept, item.content_type, self._known.learner, allowance)
        finally:
            usage = allowance.usage
            if usage != Usage():
                emit(
                    {Metric.TOKENS_IN: usage.tokens_in, Metric.TOKENS_OUT: usage.tokens_out},
                    item.content_type,
                )
                logger.info("tokens_counted", item=item, **usage._asdict())

    def _free_version(self, item: Item) -> int:
        """The first version above every row that has no text yet: a row that was refused left its text."""
        version = self._known.versions.get(item.concept_id, 0) + 1
        if self._kind.versions_sql is not None:
            while self._bucket.holds(tutorial_key(self._plan.roadmap_id, item.concept_id, version)):
                version += 1
        return version

    def _amend(self, item: Item, amend: Callable[[Document], Document]) -> None:
        """Stage the same content under another id or version: it is good, and it was paid for."""
        body = self._staging.read(item)
        if body is None:
            raise StagedContentGoneError("what was staged is gone")
        content = self._kind.parse(body)
        self._staging.write(item, content | amend(content))

    def _reject(self, item: Item, refusal: Seen) -> None:
        attempt, failure = refusal
        self._staging.reject(item, failure, attempt)
        logger.warning(
            "staged_content_rejected", item=item, error_code=failure.error_code, reason=failure.reason
        )

    def _new_id(self, item: Item) -> str:
        """The same for the same item and attempt, so that a step that runs twice stages the same."""
        name = json.dumps([self._plan.task_id, self._plan.attempt, self._plan.roadmap_id, *item])
        return str(uuid.uuid5(_IDS, name))
