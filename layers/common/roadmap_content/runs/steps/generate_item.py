"""Prepare one item of Generate: generate it if it is not staged, and repair content that was refused.

The remedy for an item is the action that makes its staged content fit to be saved (`content/remedies.py`). A
stored text without a row, which the product has paid for, is adopted: staged instead of generated content.
"""

import json
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

from sqlalchemy import Connection

from ...content.generation.generator import (
    Allowance,
    Change,
    GenerationRequest,
    Generator,
    Learner,
    OutOfTimeError,
)
from ...content.generation.item_locks import ItemLocks
from ...content.generation.quota import GenerationStoppedError, ModelQuota, TaskBudget, Usage
from ...content.kind import require_indexable
from ...content.manifest import Batch
from ...content.registry import CONTENT_KINDS
from ...content.remedies import Remedy, remedy_for
from ...content.rows import saved_since
from ...content.stored_texts import NewestText, may_adopt, newest_text
from ...contracts.documents import Document
from ...contracts.errors import (
    ContentError,
    InvalidContentError,
    ModelDeclinedError,
    RoadmapNotFoundError,
    TaskCancelledError,
    TransientError,
)
from ...contracts.items import Failure, Item, RecordedFailure, Stage
from ...contracts.payloads import BatchRequest, Origin
from ...contracts.states import NextAction
from ...platform.postgres.transactions import TIME_FOR_ANOTHER, transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.metrics import Metric, emit
from ...platform.storage.staging import Staging
from ...state.services import Services
from ...state.tasks.task import StopReasons, why_stopped
from .present_content import present_content

_IDS = uuid.UUID("6f4f5f0e-7d8a-5b42-9a53-6a1f0a3f5c11")
"""The namespace of generated ids. The same item of the same attempt always gets the same id."""


class StagedContentGoneError(TransientError, code="StagedContentGone"):
    """Staged content was removed during this step."""


class BatchContext(NamedTuple):
    """The database's data about the items of a batch, read before anything is staged."""

    refusals: Mapping[Item, Sequence[RecordedFailure]]
    """The refusals of the items' content, the latest first."""

    versions: Mapping[Item, int]
    """The highest version of each item that has one."""

    learner: Learner
    instruction: str | None
    """How saved items are to be changed."""


class Unprepared(Enum):
    """Why an item was not prepared; neither is a failure of the item."""

    WAITING = "generation is stopped"
    NOT_STARTED = "the attempt is cancelled"


class ItemGeneration:
    """The preparation of the items of one batch. Its methods are called by several threads."""

    def __init__(
        self,
        request: BatchRequest,
        services: Services,
        generator: Generator,
        deadline: Deadline,
        batch: Batch,
        staged: Collection[Item],
        context: BatchContext,
    ) -> None:
        self._plan = request.plan
        self._concepts, self._replaces = batch
        self._bucket = services.bucket
        self._engine = services.engine
        self._staging = Staging(services.bucket, request.plan.roadmap_id, self._replaces, context.instruction)
        self._generator, self._generator_name = generator, services.settings.generator
        self.refused: dict[Item, Origin] = {}
        """The origins of answers that are not valid content, or that a model declined."""

        self._budget = TaskBudget(services.engine, services.settings, request.plan.task_id, deadline)
        self.quota = ModelQuota(services.engine, services.settings, deadline)
        self.locks = ItemLocks(services.engine, request.plan.roadmap_id, deadline)
        self._deadline = deadline
        self._context = context

        self._execution_arn = request.execution_arn
        self._staged = staged
        """Items that are staged, none of them to replace a saved one; others may be staged, too."""

    def prepare(self, item: Item) -> NextAction | Failure | Unprepared:
        """Prepare one item; an error of this system is returned as the item's failure."""
        try:
            require_indexable(self._plan.roadmap_id, item.concept_id)
            if item in self._staged and item not in self._context.refusals:
                return NextAction.SAVE
            if self._deadline.remaining < TIME_FOR_ANOTHER:
                raise OutOfTimeError("the invocation's time was up before the item was generated")
            with self.locks.held(item):
                return self._apply_remedy(item)
        except GenerationStoppedError:
            return Unprepared.WAITING
        except TaskCancelledError:
            return Unprepared.NOT_STARTED
        except ContentError as error:
            is_transient = isinstance(error, TransientError)
            failure = Failure(item, Stage.GENERATE, error.recorded_code, str(error), is_transient)
            logger.warning("item_generation_failed", **item._asdict(), **failure.for_others.why)
            return failure

    def _apply_remedy(self, item: Item) -> NextAction:
        """Apply the item's present remedy, and return it; `SAVE` also if somebody else has saved the item.
        Another holder of its lock may have staged it.
        """
        remedy, refusal = self._remedy(item)
        generates = remedy in (NextAction.GENERATE, NextAction.REJECT_AND_GENERATE)
        if generates and self._is_saved_since_the_plan(item):
            logger.info("item_saved_since_the_plan", item=item)
            # Save finds the row, and reports no failure for an item that is not staged.
            return NextAction.SAVE
        match remedy:
            case NextAction.SAVE:
                pass
            case NextAction.GENERATE if self._may_adopt(item):
                return self._adopt_or_generate(item)
            case NextAction.GENERATE:
                failure = None if refusal is None else refusal[1]
                self._generate(item, self._newest_text(item).free_version, failure)
            case NextAction.REJECT_AND_GENERATE:
                assert refusal is not None  # noqa: S101 - only a refusal leads to rejection
                attempt, failure = refusal
                self._staging.reject(item, failure, attempt)
                logger.warning("staged_content_rejected", **item._asdict(), **failure.for_others.why)
                self._generate(item, self._newest_text(item).free_version, failure)
            case NextAction.REPLACE_ID:
                self._amend(item, lambda _: self._new_identity(item))
            case NextAction.NEXT_VERSION:
                # Above every row and above the refused version.
                highest = self._context.versions.get(item, 0)
                self._amend(
                    item, lambda content: {"content_version": max(highest, content["content_version"]) + 1}
                )
        return remedy

    def _may_adopt(self, item: Item) -> bool:
        context = self._context
        return may_adopt(item, context.refusals, self._replaces, context.instruction)

    def _remedy(self, item: Item) -> Remedy:
        """The remedy for an item. Content is read only if it was refused, to see if it is still staged."""
        refusals_of_item = self._context.refusals.get(item)
        if refusals_of_item is None:
            return Remedy(NextAction.SAVE if self._staging.holds(item) else NextAction.GENERATE)
        return remedy_for(self._staging.fingerprint(item), refusals_of_item)

    def _generate(self, item: Item, version: int, refused: Failure | None = None) -> None:
        """Generate and stage an item; `refused` is the failure of its last content, for the generator."""
        # Between the answer and its staging nothing else is done: a process that is killed there loses it.
        content, origin = self._call_generator(item, refused)
        self._stage(item, content, version, origin)

    def _stage(self, item: Item, draft: Document, version: int, origin: Origin | None = None) -> None:
        """Stage a draft with a version, where its type has them, and a new id. Raises InvalidContentError."""
        kind = CONTENT_KINDS[item.content_type]
        content = kind.check(draft | kind.complete(draft, version) | self._new_identity(item))
        self._staging.write(item, content, origin)

    def _adopt_or_generate(self, item: Item) -> NextAction:
        """Stage the newest text that is stored without a row, with its version; otherwise generate the item.
        Such a text was paid for, but its row was never saved. Returns which of the two was done.
        """
        newest = self._newest_text(item)
        version = newest.free_version - 1
        if draft := newest.draft(self._concepts[item].name):
            try:
                self._stage(item, draft, version)
            except InvalidContentError as error:  # it is too large, as it would be in each attempt
                logger.warning("tutorial_text_not_adopted", item=item, version=version, reason=str(error))
            else:
                logger.info("tutorial_text_adopted", item=item, version=version)
                return NextAction.SAVE
        self._generate(item, newest.free_version)
        return NextAction.GENERATE

    def _newest_text(self, item: Item) -> NewestText:
        return newest_text(self._bucket, self._plan.roadmap_id, item, self._context.versions.get(item, 0))

    def _is_saved_since_the_plan(self, item: Item) -> bool:
        """Whether somebody else has saved an item that would be generated: generating it would be paid twice.
        The reasons to generate nothing more are read with it, before each item, so that they apply soon.

        Raises TaskCancelledError, RoadmapNotFoundError, GenerationStoppedError: these reasons.
        """
        plan = self._plan

        def read(connection: Connection) -> tuple[StopReasons, frozenset[Item]]:
            reasons = why_stopped(connection, plan.task_id, plan.attempt, self._execution_arn)
            return reasons, saved_since(connection, plan.roadmap_id, [item], self._replaces)

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

    def _call_generator(self, item: Item, refused: Failure | None) -> tuple[Document, Origin]:
        """Generate an item's content, and count the used tokens even if it fails."""
        plan = self._plan
        request = GenerationRequest(
            self._concepts[item],
            item.content_type,
            self._context.learner,
            None if refused is None else refused.reason,
            # Otherwise the generator without a model would make the same content again.
            draft_number=plan.attempt if item in self._replaces else 1,
            change=self._change(item),
            task_id=plan.task_id,
            roadmap_id=plan.roadmap_id,
            attempt=plan.attempt,
            idempotency_token=self._id_of(item, refused.content_fingerprint if refused else ""),
        )
        allowance = Allowance(self._deadline, self._budget, self.quota)
        try:
            content = self._generator.generate(request, allowance)
        except (InvalidContentError, ModelDeclinedError):
            self.refused[item] = self._origin(allowance)
            raise
        else:
            return content, self._origin(allowance)
        finally:
            usage = allowance.usage
            if usage != Usage():
                tokens = {Metric.TOKENS_IN: usage.tokens_in, Metric.TOKENS_OUT: usage.tokens_out}
                emit(tokens, item.content_type)
                logger.info("tokens_counted", **item._asdict(), **usage._asdict())

    def _change(self, item: Item) -> Change | None:
        """The change that the attempt's instruction asks for; `None` without one."""
        if self._context.instruction is None:
            return None
        present = present_content(self._engine, self._bucket, self._plan.roadmap_id, item, self._deadline)
        return Change(self._context.instruction, present)

    def _origin(self, allowance: Allowance) -> Origin:
        """The origin of the answer to a call."""
        return Origin(
            generator=self._generator_name,
            model_id=allowance.model_id,
            prompt_version=allowance.prompt_version,
            instruction=self._staging.instruction,
            **(allowance.usage._asdict() if allowance.is_usage_known else {}),
        )

    def _amend(self, item: Item, amend: Callable[[Document], Document]) -> None:
        """Stage the same content with the fields that `amend` returns for it (another id or version), so that
        it is not paid for twice.
        """
        staged = self._staging.get(item)
        if staged is None:
            raise StagedContentGoneError("the staged content was removed")
        content = CONTENT_KINDS[item.content_type].parse(staged.body)
        self._staging.write(item, content | amend(content), Origin.of_metadata(staged.metadata))

    def _new_identity(self, item: Item) -> Document:
        """The field with a new id. Deterministic, so that a repeated step stages the same content."""
        return {CONTENT_KINDS[item.content_type].id_field: self._id_of(item)}

    def _id_of(self, item: Item, *refused: str | None) -> str:
        """The id of the item's content in this attempt; with `refused`, that of a call after this content. An
        attempt of an earlier life of the task had another execution.
        """
        names = [self._execution_arn, self._plan.attempt, self._plan.roadmap_id, *item, *refused]
        return str(uuid.uuid5(_IDS, json.dumps(names)))
