"""Finalize: whatever became of the run, the task and `framework_data` end up telling the truth."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection

from .attempts import Task, read_task, record_outcome
from .bucket import Bucket
from .connections import Connections
from .contracts import FinalizeRequest, FinalizeResult, LostBatch, StateError
from .current import current_rows
from .deadline import Deadline
from .errors import (
    ContentError,
    InvalidFrameworkError,
    RoadmapNotFoundError,
    StaleAttemptError,
    StorageUnavailableError,
    TaskNotFoundError,
)
from .failures import latest_failures, record_failures, storable_text, withdraw_failures
from .items import ContentType, Failure, Item, Stage
from .log import logger
from .manifest import read_batch
from .outcome import COMPLETED, Outcome, judge, nothing_known
from .roadmaps import load_framework, lock_roadmap, write_framework
from .transactions import DataRefusedError, transact

_UNEXPLAINED = StateError(error="NotReported", cause="the attempt ended without a word about this item")


def finalize_task(request: FinalizeRequest, connections: Connections, deadline: Deadline) -> FinalizeResult:
    """Project `framework_data` from the tables, then write the task's status and what failed.

    Raises:
        DatabaseUnavailableError: nothing could be written; trying again may help.
    """
    explanations = (
        _explain_lost(connections.bucket, request.plan.manifest, request.lost) if request.plan else {}
    )

    def record(connection: Connection, *, project: bool = True) -> FinalizeResult:
        return _record(connection, request, explanations, project=project)

    try:
        return transact(connections.engine, record, deadline)
    except TaskNotFoundError as error:
        return _nothing_to_record(request, error)
    except DataRefusedError as refusal:
        # The roadmap does not take its projection: the task is to tell the truth all the same.
        logger.exception("framework_data_refused", sqlstate=refusal.sqlstate)
        return transact(connections.engine, partial(record, project=False), deadline)


def _record(
    connection: Connection,
    request: FinalizeRequest,
    explanations: Mapping[Item, StateError],
    *,
    project: bool,
) -> FinalizeResult:
    task = read_task(connection, request.input.task_id)
    attempt = _attempt_of(request, task)
    if attempt is None:
        return _nothing_to_record(
            request,
            StaleAttemptError(f"task {task.task_id} is at attempt {task.attempt}, {task.execution_arn}"),
        )
    error = request.error
    try:
        outcome = _outcome(connection, task, attempt, explanations, error, project=project)
    except (RoadmapNotFoundError, InvalidFrameworkError) as unreadable:
        outcome = nothing_known()
        error = StateError(error=unreadable.code, cause=str(unreadable))
    message = (
        f"{error.error}: {error.cause}" if error and outcome.status != COMPLETED else outcome.error_message
    )
    recorded = record_outcome(
        connection,
        task.task_id,
        attempt,
        status=outcome.status,
        failed_concepts=outcome.failed_concepts,
        execution_summary=outcome.execution_summary(attempt, _duration(request)),
        error_message=message,
    )
    logger.info(
        "task_finalized" if recorded else "stale_outcome_discarded",
        task_id=task.task_id,
        attempt=attempt,
        status=outcome.status,
        missing=outcome.missing,
    )
    return FinalizeResult(
        task_id=task.task_id,
        attempt=attempt,
        status=outcome.status,
        complete=outcome.status == COMPLETED,
        missing=outcome.missing,
        error=error,
    )


def _attempt_of(request: FinalizeRequest, task: Task) -> int | None:
    """The attempt that the run stands for; without a plan, only the task's row can say so."""
    if request.plan is not None:
        return request.plan.attempt
    return task.attempt if task.execution_arn == request.execution.arn else None


def _outcome(
    connection: Connection,
    task: Task,
    attempt: int,
    explanations: Mapping[Item, StateError],
    error: StateError | None,
    *,
    project: bool,
) -> Outcome:
    """Find out how the task stands, account for every missing item, and project `framework_data`."""
    roadmap_id = task.roadmap_id or ""
    lock_roadmap(connection, roadmap_id)
    framework = load_framework(connection, task.roadmap_id, task.user_id)
    rows = current_rows(connection, roadmap_id)
    saved = {content_type: frozenset(found) for content_type, found in rows.items()}
    missing = framework.missing(saved)
    failures = _account(connection, task.task_id, attempt, missing, explanations, error or _UNEXPLAINED)
    if framework.project(rows) and project:
        write_framework(connection, roadmap_id, framework.document)
        logger.info("framework_data_updated", roadmap_id=roadmap_id)
    return judge(framework, saved, failures)


def _account(
    connection: Connection,
    task_id: str,
    attempt: int,
    missing: Sequence[Item],
    explanations: Mapping[Item, StateError],
    otherwise: StateError,
) -> dict[Item, Failure]:
    """Make every missing item a recorded failure of this attempt, and nothing else one."""
    known = latest_failures(connection, task_id, attempt)
    recorded = {item: failure for item, (seen_by, failure) in known.items() if seen_by == attempt}
    withdraw_failures(connection, task_id, attempt, recorded.keys() - set(missing))
    unexplained = {
        item: Failure(item, Stage.WORKFLOW, cause.error, storable_text(cause.cause), transient=True)
        for item in missing
        if item not in recorded
        for cause in [explanations.get(item, otherwise)]
    }
    record_failures(connection, task_id, attempt, unexplained.values(), keep=True)
    return recorded | unexplained


def _explain_lost(bucket: Bucket, manifest: str, lost: Sequence[LostBatch]) -> dict[Item, StateError]:
    """What happened to the items of batches that did not come back."""
    explanations: dict[Item, StateError] = {}
    for entry in lost:
        try:
            concepts = read_batch(bucket, manifest, entry.batch)
        except StorageUnavailableError as error:
            logger.warning("lost_batch_unexplained", batch=entry.batch.number, reason=str(error))
            continue
        for concept in concepts:
            explanations[Item(concept.concept_id, entry.batch.content_type)] = entry.error
    return explanations


def _duration(request: FinalizeRequest) -> float:
    """Seconds since the attempt was claimed; without a plan, since the execution started."""
    now = datetime.now(UTC)
    if request.plan is not None:
        return (now - request.plan.claimed_at.replace(tzinfo=UTC)).total_seconds()
    return (now - (request.execution.start_time or now)).total_seconds()


def _nothing_to_record(request: FinalizeRequest, reason: ContentError) -> FinalizeResult:
    """The answer where the task is not this run's to write."""
    logger.warning(
        "outcome_not_recorded", task_id=request.input.task_id, error_code=reason.code, reason=str(reason)
    )
    return FinalizeResult(
        task_id=request.input.task_id,
        attempt=None,
        status="unrecorded",
        complete=False,
        missing=dict.fromkeys(ContentType, 0),
        error=request.error or StateError(error=reason.code, cause=str(reason)),
    )
