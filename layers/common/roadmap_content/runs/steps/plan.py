"""Plan: find the missing items and write the manifest."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from ...content.manifest import Manifest, make_manifest
from ...content.roadmaps.metadata import MOST_SKIPPED
from ...content.rows import current_revisions
from ...contracts.items import Item, count_by_type
from ...contracts.payloads import BatchReference, Execution, Payload, Plan, RunInput
from ...contracts.states import Cause
from ...platform.postgres.transactions import transact
from ...platform.runtime.collection import collection_paused
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.metrics import Metric, emit
from ...platform.storage.keys import manifest_key
from ...platform.storage.staging import Staging
from ...state.failures.failures import refused_items
from ...state.queue.admission import admit_waiting
from ...state.queue.capacity import TOKENS_PER_ITEM, Work
from ...state.queue.claims import claim_in_run, require_open
from ...state.queue.queue import Running, record_running
from ...state.services import Services
from ...state.tasks.attempts import CONSOLE, AttemptStart, read_scope, record_plan
from ...state.tasks.task import Task, TaskSnapshot, read_snapshot, read_task


class PlanRequest(Payload):
    input: RunInput
    execution: Execution


class PlanResult(Payload):
    plan: Plan
    batches: list[BatchReference]


class _Selection(NamedTuple):
    """The items of an attempt, read in one transaction."""

    snapshot: TaskSnapshot
    items: list[Item]
    replaces: dict[Item, str]
    """The current revision of each saved item that is to be replaced."""

    refused: frozenset[Item]
    """Items with staged content that was refused."""


@collection_paused()
def plan_batches(request: PlanRequest, services: Services, deadline: Deadline) -> PlanResult:
    """Claim an attempt, unless it was claimed before the execution, and plan its items.

    If a run is redriven at Plan after the outcome of its attempt was recorded, it claims the next attempt.

    Raises:
        TaskNotFoundError, RoadmapNotFoundError, InvalidFrameworkError: there is nothing to plan.
        ClaimRefusedError, StaleAttemptError: another execution is working on the task.
        TaskCancelledError: the task was cancelled after the execution had been started.
        DatabaseUnavailableError, StorageUnavailableError: a retry may succeed.
    """
    task_id, execution_arn = request.input.task_id, request.execution.arn
    task = transact(services.engine, read_task, deadline, task_id)
    if request.input.attempt is None or task.execution_arn == execution_arn:
        # Without an attempt in its input, or redriven: it keeps its open attempt, or claims one.
        start = AttemptStart(CONSOLE, _cause(task, request.execution))
        attempt = claim_in_run(services, task, request.execution, deadline, start).attempt
    else:
        attempt = request.input.attempt

    selection = transact(services.engine, _select, deadline, task_id, attempt, execution_arn)
    task, replaces = selection.snapshot.task, selection.replaces
    batch_size = services.settings.batch_size
    # Not for the items to replace: the staged content under their own key is the content that was saved.
    missing = [item for item in selection.items if item not in replaces]
    staging = Staging(services.bucket, task.roadmap_id or "")
    staged = _staged(staging, missing, selection.refused, batch_size)
    manifest = make_manifest(selection.snapshot.framework, selection.items, staged, batch_size, replaces)
    key = manifest_key(task_id, attempt, execution_arn, manifest.body)
    services.bucket.put(key, manifest.body)
    running = _record_running(services, task, manifest, deadline)
    plan = Plan(
        task_id=task_id,
        roadmap_id=task.roadmap_id or "",
        attempt=attempt,
        # The wait in the queue is no part of the run's duration.
        claimed_at=task.claimed_at if running is None else running.admitted_at,
        manifest=key,
        planned=count_by_type(selection.items),
    )
    if skipped := selection.snapshot.framework.skipped:
        places = list(skipped[:MOST_SKIPPED])
        logger.warning("concepts_skipped", task_id=task_id, concepts=len(skipped), places=places)
    logger.info(
        "batches_planned",
        task_id=task_id,
        attempt=attempt,
        roadmap_id=plan.roadmap_id,
        planned=plan.planned,
        staged=len(staged),
        batches=len(manifest.batches),
    )
    emit({Metric.BATCHES_PLANNED: len(manifest.batches)})
    return PlanResult(plan=plan, batches=manifest.batches)


def _select(connection: Connection, task_id: str, attempt: int, execution_arn: str) -> _Selection:
    """Select the items of the attempt's scope, and record them as planned."""
    snapshot = read_snapshot(connection, require_open(connection, task_id, attempt, execution_arn))
    scope = read_scope(connection, task_id, attempt).scope
    items = scope.select(snapshot.framework, snapshot.missing)
    # Only a scope that replaces content has saved items.
    saved = set(items).difference(snapshot.missing) if scope.regenerate else set()
    current = current_revisions(connection, snapshot.task.roadmap_id or "", saved)
    items = scope.unchanged(items, current)
    replaces = {item: current[item] for item in items if item in current}
    record_plan(connection, task_id, attempt, count_by_type(items), replaces)
    return _Selection(snapshot, items, replaces, refused_items(connection, task_id))


def _record_running(services: Services, task: Task, manifest: Manifest, deadline: Deadline) -> Running | None:
    """Record in the queue that the attempt runs, and correct its estimated work by the batches to generate.
    Slots that it does not need go to waiting attempts. `None`: it has ended meanwhile.
    """
    to_generate = [batch for batch in manifest.batches if not batch.staged]
    items = sum(batch.total for batch in to_generate)
    work = Work(items * TOKENS_PER_ITEM, min(services.settings.max_concurrency, len(to_generate)))
    subject = task.task_id, task.attempt, task.execution_arn or ""
    running = transact(services.engine, record_running, deadline, *subject, work)
    if running is not None and running.freed:
        admit_waiting(services, deadline)
    return running


def _staged(
    staging: Staging, items: Sequence[Item], refused: frozenset[Item], batch_size: int
) -> frozenset[Item]:
    """The items that are staged and were not refused; none if one batch holds all items and has some to
    generate, because a second batch would only add invocations.
    """
    staged = staging.staged_among(items) - refused
    if len(staged) < len(items) and len({item.concept_id for item in items}) <= batch_size:
        return frozenset()
    return staged


def _cause(task: Task, execution: Execution) -> Cause:
    """The cause of an attempt that a run claims itself: it was started by hand, or redriven in a console."""
    if task.execution_arn == execution.arn:
        return Cause.CONSOLE_REDRIVE
    return Cause.RETRY if task.attempt else Cause.FIRST_RUN
