"""Finalize: record the outcome of a run, after success or failure, and project `framework_data`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from ...content.roadmaps.metadata import lock_roadmap
from ...contracts.errors import (
    ContentError,
    InvalidFrameworkError,
    RoadmapNotFoundError,
    StaleAttemptError,
    TaskNotFoundError,
)
from ...contracts.items import MAX_REASON, Failure, Item, count_by_type
from ...contracts.payloads import Execution, FinalizeResult, Payload, Plan, RunInput, StateError
from ...contracts.times import utc
from ...platform.postgres.transactions import DataRefusedError, isolated, transact
from ...platform.runtime.collection import collection_paused
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.metrics import Metric, emit
from ...state.failures.current import replace_current_failures
from ...state.failures.groups import Remains, group_failures
from ...state.outbox import record_events
from ...state.queue.claims import claim_to_record
from ...state.queue.queue import release
from ...state.services import Services
from ...state.tasks.attempts import close_attempt, generated_by, is_open
from ...state.tasks.outcome import COMPLETED, Outcome, unknown_outcome
from ...state.tasks.task import Task, read_task, record_outcome
from .accounting import Account, LostBatch, account_for, explain_lost
from .reporting import report_outcome


class FinalizeRequest(Payload):
    input: RunInput
    execution: Execution
    plan: Plan | None = None
    lost: Sequence[LostBatch] = ()
    error: StateError | None = None


@dataclass(frozen=True)
class RunEnd:
    """The facts about an attempt's end that are not in the tables."""

    error: StateError | None = None
    explanations: Mapping[Item, StateError] = field(default_factory=dict)
    """The causes of failures that are not recorded, by item."""

    started_at: datetime | None = None
    """The time of the claim; if `None`, the time of the row's last change is used."""

    execution_arn: str | None = None
    """The ARN of the execution, if it records its own end."""

    def belongs_to_run(self, task: Task) -> bool:
        """Whether the execution that ended is the one in the task's row."""
        return self.execution_arn is not None and self.execution_arn == task.execution_arn


def finalize_task(request: FinalizeRequest, services: Services, deadline: Deadline) -> FinalizeResult:
    """Record a run's outcome. Raises DatabaseUnavailableError: nothing was written; a retry may succeed."""
    task_id, plan = request.input.task_id, request.plan
    if plan is not None:
        attempt = plan.attempt
        run_end = RunEnd(
            error=request.error,
            explanations=explain_lost(services.bucket, plan.manifest, request.lost),
            started_at=utc(plan.claimed_at),
            execution_arn=request.execution.arn,
        )
    else:
        try:
            task = transact(services.engine, lambda connection: read_task(connection, task_id), deadline)
        except TaskNotFoundError as error:
            return _nothing_to_record(request, error)
        if request.input.attempt is None:
            task = claim_to_record(services, task, request.execution.arn, deadline)
        if task.execution_arn != request.execution.arn:
            # Without a plan, the attempt can only be found in the task's row.
            owner = f"task {task_id} is at attempt {task.attempt}, {task.execution_arn}"
            return _nothing_to_record(request, StaleAttemptError(owner))
        attempt = task.attempt
        run_end = RunEnd(error=request.error, started_at=request.execution.start_time)
    result = finalize_attempt(services, task_id, attempt, run_end, deadline)
    emit_outcome(result, run_end)
    return result


@collection_paused()
def finalize_attempt(
    services: Services,
    task_id: str,
    attempt: int,
    run_end: RunEnd,
    deadline: Deadline,
    *,
    first: Callable[[Connection], None] = lambda _: None,
    dry_run: bool = False,
) -> FinalizeResult:
    """Recompute `framework_data`, the task's status and its failures from the tables.

    Idempotent: unchanged values are not written, and a task of a newer attempt is not changed. `first` runs
    first in the transaction. With `dry_run`, nothing is written.

    Raises:
        TaskNotFoundError: the task does not exist.
        DatabaseUnavailableError: nothing was written; a retry may succeed.
    """

    def record(connection: Connection, *, in_parts: bool = False) -> FinalizeResult:
        first(connection)
        result = _record(services, connection, task_id, attempt, run_end, in_parts=in_parts)
        if dry_run:
            connection.rollback()
        return result

    try:
        return transact(services.engine, record, deadline)
    except DataRefusedError as refusal:
        # The projection of the roadmap, or a report, was refused: record the outcome without it.
        logger.warning("outcome_recorded_in_parts", sqlstate=refusal.sqlstate, reason=str(refusal))
        return transact(services.engine, partial(record, in_parts=True), deadline)


def _record(
    services: Services, connection: Connection, task_id: str, attempt: int, run_end: RunEnd, *, in_parts: bool
) -> FinalizeResult:
    lock_roadmap(connection, read_task(connection, task_id).roadmap_id or "")
    task = read_task(connection, task_id)
    if task.attempt < attempt:
        raise TaskNotFoundError(f"the data of the user of task {task_id} was erased")
    error = run_end.error
    try:
        account = account_for(connection, task, attempt, run_end.explanations, error, in_parts=in_parts)
    except (RoadmapNotFoundError, InvalidFrameworkError) as unreadable:
        if isinstance(unreadable, RoadmapNotFoundError) and task.status != "processing":
            return _leave_as_it_is(connection, task, attempt, unreadable)
        account = Account(unknown_outcome())
        error = StateError(error=unreadable.code, cause=str(unreadable))
    outcome = account.outcome
    status = task.status if task.status == "cancelled" else outcome.status
    if outcome.status == COMPLETED and run_end.belongs_to_run(task):
        # Redriven over the API after its plan: nothing is left to do for the attempt claimed for the redrive.
        attempt = task.attempt
    changed = [*account.changed, *_differing(task, outcome)]
    if not changed and task.attempt == attempt and is_open(connection, task_id, attempt):
        changed.append("attempt")  # the outcome equals that of the previous attempt
    if changed:
        account = account._replace(changed=changed)
        _write_outcome(
            services, connection, task, attempt, run_end, account, status, error, in_parts=in_parts
        )
    needs_person = False
    if task.attempt == attempt:
        with isolated(connection, "failures_not_grouped", when=in_parts):
            needs_person = _record_what_remains(services, connection, task, outcome, account.failed)
        if task.is_in_queue:
            release(connection, task_id, attempt)  # last: admission waits for the user's counter
    return FinalizeResult(
        task_id=task_id,
        attempt=attempt,
        status=status,
        complete=outcome.status == COMPLETED,
        missing=outcome.missing,
        changed=changed,
        error=error,
        needs_person=needs_person,
    )


def _write_outcome(
    services: Services,
    connection: Connection,
    task: Task,
    attempt: int,
    run_end: RunEnd,
    account: Account,
    status: str,
    error: StateError | None,
    *,
    in_parts: bool,
) -> None:
    """Write the outcome to the rows of task and attempt, and report it; nothing for a stale attempt."""
    outcome = account.outcome
    message = outcome.error_message
    if error is not None and outcome.status != COMPLETED:
        message = f"{error.error}: {error.reason}"[:MAX_REASON]
    generated = generated_by(connection, task.task_id, attempt)
    summary = outcome.execution_summary(attempt, _duration(task, attempt, run_end), generated)
    recorded = record_outcome(connection, task.task_id, attempt, outcome, summary, message)
    logger.info(
        "task_finalized" if recorded else "stale_outcome_discarded",
        task_id=task.task_id,
        attempt=attempt,
        status=outcome.status,
        missing=outcome.missing,
        changed=account.changed,
    )
    if not recorded:
        return
    left = count_by_type(account.left) if outcome.total else None  # unknown without a readable framework
    failed = count_by_type(failure.item for failure in account.failed)
    close_attempt(connection, task.task_id, attempt, left, failed)
    event = task.events.finalized(status, outcome.missing, generated, task.updated_at)
    with isolated(connection, "outcome_not_reported", when=in_parts):
        report_outcome(services, connection, task, event, account.failed, outcome, message)


def _leave_as_it_is(
    connection: Connection, task: Task, attempt: int, reason: RoadmapNotFoundError
) -> FinalizeResult:
    """End the attempt of a finished task without a roadmap; its row is not changed."""
    if task.attempt == attempt and is_open(connection, task.task_id, attempt):
        close_attempt(connection, task.task_id, attempt, None, {})
        release(connection, task.task_id, attempt)
    return FinalizeResult(
        task_id=task.task_id,
        attempt=attempt,
        status=task.status,
        complete=task.status == COMPLETED,
        missing={},
        error=StateError(error=reason.code, cause=str(reason)),
    )


def _record_what_remains(
    services: Services, connection: Connection, task: Task, outcome: Outcome, failed: Sequence[Failure]
) -> bool:
    """Record the current failures of a task, and let capabilities plan its next attempt.

    Returns whether a person is needed: no attempt follows, and nobody knows the reasons of the items that
    `failed` in this attempt.
    """
    groups, capabilities = group_failures(outcome.failures), services.capabilities
    before = replace_current_failures(connection, services.failure_hooks, task.task_id, task.attempt, groups)
    if task.status != "processing":
        return False
    remains = Remains(task.task_id, task.attempt, groups, before)
    for capability in capabilities:
        if capability.plan_next is not None and capability.plan_next(services, connection, remains):
            return False
    if not failed or not groups:
        return False
    record_events(services, connection, [task.events.exhausted(groups[0].summary)])
    group_ids = [group.key.group_id for group in groups]
    judges = [capability.is_known for capability in capabilities if capability.is_known is not None]
    return not any(is_known(connection, group_ids) for is_known in judges)


def _differing(task: Task, outcome: Outcome) -> list[str]:
    """The fields of the task's row that differ from the outcome. A cancelled task keeps its status, and a
    summary that the product wrote is not changed.
    """
    counted = task.recorded_summary
    return [
        name
        for name, differs in (
            ("status", task.status not in (outcome.status, "cancelled")),
            ("failed_concepts", task.recorded_failures != outcome.failed_concepts),
            ("execution_summary", bool(counted) and not counted.items() >= outcome.counts.items()),
            ("completed_at", task.completed_at is None),
        )
        if differs
    ]


def _duration(task: Task, attempt: int, run_end: RunEnd) -> float:
    """The duration of the attempt in seconds. A recorded duration is kept."""
    recorded = task.recorded_summary
    if task.completed_at is not None and recorded.get("attempt") == attempt:
        return float(recorded["duration_seconds"])
    started_at = run_end.started_at or utc(task.claimed_at)
    return max(0.0, (datetime.now(UTC) - started_at).total_seconds())


LATE_AFTER = timedelta(minutes=30)
"""The objective for the time from a run's start to its end (docs/alarms.md)."""


def emit_outcome(result: FinalizeResult, run_end: RunEnd) -> None:
    """Write the metrics of a recorded outcome. A cancelled task is not counted as incomplete."""
    is_incomplete = not result.complete and result.status != "cancelled"
    counts: dict[Metric, float] = {
        Metric.TASKS_COMPLETED: int(result.complete),
        Metric.TASKS_INCOMPLETE: int(is_incomplete),
        Metric.TASKS_NEED_PERSON: int(result.needs_person),
    }
    if run_end.started_at is not None:
        lasted = datetime.now(UTC) - run_end.started_at
        counts[Metric.TASK_SECONDS] = lasted.total_seconds()
        counts[Metric.TASKS_LATE] = int(lasted > LATE_AFTER)
    emit(counts)
    for content_type, missing in result.missing.items():
        emit({Metric.ITEMS_MISSING: missing if is_incomplete else 0}, content_type)


def _nothing_to_record(request: FinalizeRequest, reason: ContentError) -> FinalizeResult:
    logger.warning(
        "outcome_not_recorded", task_id=request.input.task_id, error_code=reason.code, reason=str(reason)
    )
    return FinalizeResult(
        task_id=request.input.task_id,
        attempt=None,
        status="unrecorded",
        complete=False,
        missing={},
        error=request.error or StateError(error=reason.code, cause=str(reason)),
    )
