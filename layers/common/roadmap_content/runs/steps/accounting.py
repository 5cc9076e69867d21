"""Account for the missing items of an attempt: exactly one failure each, with a reason. Compute the
outcome, and write the projections of the rows: `framework_data` and `concept_metadata`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from ...content.kind import Row
from ...content.manifest import read_batch
from ...content.product import has_concept_metadata, project_concept_metadata
from ...content.roadmaps.framework import Framework
from ...content.roadmaps.metadata import load_framework, write_framework
from ...content.rows import current_rows, merge_items, unreplaced
from ...contracts.errors import StorageUnavailableError, code_of
from ...contracts.items import ContentType, Failure, Item, Stage
from ...contracts.payloads import BatchReference, Payload, StateError
from ...platform.postgres.transactions import undone_alone
from ...platform.runtime.log import logger
from ...platform.storage.bucket import Bucket
from ...state.failures.failures import (
    expire_failures,
    failures_of_attempt,
    latest_failures,
    record_failures,
    withdraw_failures,
)
from ...state.tasks.attempts import read_scope
from ...state.tasks.outcome import Outcome, compute_outcome
from ...state.tasks.scope import NO_ITEM, Scope
from ...state.tasks.task import Task

_UNEXPLAINED = StateError(error="NotReported", cause="the attempt ended without a result for this item")


class LostBatch(Payload):
    """A batch with failures that are not recorded yet."""

    batch: BatchReference
    error: StateError


class Account(NamedTuple):
    """The state of a roadmap's items at the end of an attempt."""

    outcome: Outcome
    left: Sequence[Item] = ()
    """The items of the attempt that are missing or not replaced."""

    failed: Sequence[Failure] = ()
    """The failures of those items. In a cancelled attempt, an item without one was not started."""

    changed: Sequence[str] = ()
    """The projected fields that were corrected."""


def account_for(
    connection: Connection,
    task: Task,
    attempt: int,
    explanations: Mapping[Item, StateError],
    error: StateError | None,
) -> Account:
    """Compute the outcome, make the recorded failures equal to the items that are missing or not replaced,
    and project the rows. An item without a recorded failure gets its explanation, or else the error that
    ended the run. In a cancelled attempt it was not started, which is no failure; an attempt that was
    cancelled before its plan has no item, so that the failures of earlier attempts still apply. The caller
    holds the roadmap's lock.

    Raises RoadmapNotFoundError, InvalidFrameworkError: there is no framework to compare the tables with.
    """
    task_id, roadmap_id = task.task_id, task.roadmap_id or ""
    framework = load_framework(connection, task.roadmap_id, task.user_id)
    with undone_alone(connection, "duplicates_not_merged", roadmap_id=roadmap_id):
        if merged := merge_items(connection, roadmap_id):  # rows that two workers have inserted at one moment
            logger.warning("duplicates_merged", roadmap_id=roadmap_id, rows=merged)
    rows = current_rows(connection, roadmap_id)
    missing = framework.missing(rows)
    scope, replaces, is_cancelled = read_scope(connection, task_id, attempt)
    not_replaced = unreplaced(rows, replaces)
    failures = failures_of_attempt(connection, task_id, attempt)
    withdraw_failures(connection, task_id, attempt, failures.keys() - {*missing, *not_replaced})
    if scope == NO_ITEM or not is_cancelled:
        unrecorded = [item for item in (*missing, *not_replaced) if item not in failures]
        explained = _explain(connection, task_id, attempt, unrecorded, scope, explanations, error)
        if not task.attempt_is_open:
            # The end was recorded before, and has projected every item that existed then: the others were
            # added since. An end that could not read the framework has projected none, and its summary has
            # no content types: then nothing is known about what was added.
            counted = [item for item in unrecorded if item.content_type in task.recorded_summary]
            explained |= _added_since(framework, counted)
        with undone_alone(connection, "failures_not_recorded"):
            record_failures(connection, task_id, attempt, explained.values(), keep=True)
            expire_failures(connection, task_id, attempt)
        failures |= explained
    left = [*filter(scope.includes, missing), *not_replaced]
    return Account(
        compute_outcome(len(framework.nodes), missing, failures, framework.fault),
        left,
        [failures[item] for item in left if item in failures],
        project_rows(connection, roadmap_id, framework, rows),
    )


def _explain(
    connection: Connection,
    task_id: str,
    attempt: int,
    items: Iterable[Item],
    scope: Scope,
    explanations: Mapping[Item, StateError],
    error: StateError | None,
) -> dict[Item, Failure]:
    """The failures of items without a recorded one: in the scope, by their explanation, or `error`; outside
    it, by the latest attempt that had them in its own.
    """
    outside = frozenset(item for item in items if not scope.includes(item))
    earlier = latest_failures(connection, task_id, attempt - 1) if outside else {}
    failures = {}
    for item in items:
        if item not in outside:
            cause = explanations.get(item, error or _UNEXPLAINED)
            code = code_of(cause.error)
            failures[item] = Failure(item, Stage.WORKFLOW, code, cause.reason, transient=True)
        elif item in earlier:
            failures[item] = earlier[item]
        else:
            reason = "no attempt was started for this item"
            failures[item] = Failure(item, Stage.WORKFLOW, "NotRequested", reason, transient=False)
    return failures


def _added_since(framework: Framework, items: Iterable[Item]) -> dict[Item, Failure]:
    """The failures of the items of concepts that were added after the attempt's end, which has projected all
    others.
    """
    reason = "the concept was added after the attempt"
    return {
        item: Failure(item, Stage.WORKFLOW, "AddedSince", reason, transient=False)
        for item in items
        if not framework.was_projected(item)
    }


def explain_lost(bucket: Bucket, manifest: str, lost: Sequence[LostBatch]) -> dict[Item, StateError]:
    """The errors of lost batches, by item; empty or incomplete if S3 does not answer."""
    explanations: dict[Item, StateError] = {}
    try:
        for entry in lost:
            explanations |= dict.fromkeys(read_batch(bucket, manifest, entry.batch).concepts, entry.error)
    except StorageUnavailableError as error:
        # All are parts of one object, and each try may take a minute: two hundred would leave no time.
        logger.warning("lost_batches_unexplained", batches=len(lost), reason=str(error))
    return explanations


def project_rows(
    connection: Connection,
    roadmap_id: str,
    framework: Framework,
    rows: Mapping[ContentType, Mapping[str, Row]],
) -> list[str]:
    """Write the differences from the current rows; return the names of the changed projections.

    The caller must have locked the roadmap before reading the rows. If the product's table refuses the rows,
    `framework_data` is still written; in the second try of `transact_in_parts`, also the reverse.
    """
    changed = []
    projected = framework.project(rows)
    if projected is not None:
        with undone_alone(connection, "framework_data_refused", roadmap_id=roadmap_id):
            write_framework(connection, roadmap_id, projected)
            logger.info("framework_data_updated", roadmap_id=roadmap_id)
            changed.append("framework_data")
    if not has_concept_metadata(connection):
        return changed
    # Always in a savepoint, which costs a round trip: a rule of the product's table that refuses the rows
    # does so at each end of a task, and without a savepoint each whole transaction would be tried twice.
    with undone_alone(connection, "concept_metadata_refused", always=True, roadmap_id=roadmap_id):
        if concepts := project_concept_metadata(connection, roadmap_id, framework.nodes, rows):
            logger.info("concept_metadata_updated", roadmap_id=roadmap_id, concepts=concepts)
            changed.append("concept_metadata")
    return changed
