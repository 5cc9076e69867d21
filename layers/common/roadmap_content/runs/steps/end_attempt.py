"""The end of an attempt: compute the outcome from the tables, and record it. Nothing else records one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection

from ...content.roadmaps.metadata import lock_roadmap_of
from ...contracts.api.turn import Turn
from ...contracts.errors import InvalidFrameworkError, RoadmapNotFoundError, TaskNotFoundError
from ...contracts.events import Event
from ...contracts.items import MAX_REASON, Failure, Item, Stage, count_by_type
from ...contracts.payloads import FinalizeResult, StateError
from ...contracts.states import QueueState, Who
from ...platform.postgres.transactions import undone_alone
from ...platform.runtime.collection import collection_paused
from ...platform.runtime.log import logger
from ...platform.runtime.metrics import Metric, emit
from ...state.failures.current import replace_current_failures
from ...state.failures.groups import Remains, group_failures
from ...state.queue.queue import release
from ...state.recovering import read_recoveries_of
from ...state.services import Services
from ...state.tasks.attempts import (
    forget_next_attempt,
    generated_by,
    has_execution,
    plan_next_attempt,
    record_attempt_outcome,
)
from ...state.tasks.next_actions import advice_for
from ...state.tasks.outcome import COMPLETED, OUTCOMES, SUPERSEDED, Outcome, unknown_outcome
from ...state.tasks.task import Task, lock_task, read_task, record_task_outcome
from ...state.tasks.turn import InRecovery, TaskFacts, turn_of, worst
from .accounting import Account, account_for
from .reporting import report_outcome


@dataclass(frozen=True)
class RunEnd:
    """The facts about an attempt's end that are not in the tables."""

    error: StateError | None = None
    explanations: Mapping[Item, StateError] = field(default_factory=dict)
    """The causes of failures that are not recorded, by item."""

    started_at: datetime | None = None
    """The time of the claim; if `None`, the time of the row's last change is used."""

    execution_arn: str | None = None
    """The ARN of the execution, if its own Finalize records the end."""

    def belongs_to_run(self, task: Task) -> bool:
        """Whether the execution that ended is the one in the task's row."""
        return self.execution_arn is not None and self.execution_arn == task.execution_arn


@collection_paused()
def end_attempt(
    connection: Connection,
    services: Services,
    task_id: str,
    attempt: int,
    run_end: RunEnd,
    execution_arn: str | None = None,
) -> FinalizeResult:
    """Recompute `framework_data`, the task's status and its failures from the tables, in the transaction of
    the caller, which `transact_in_parts` should run. The locks of roadmap and task come first, so that no
    claim comes in between; a caller that writes before the end takes them before.

    Idempotent: unchanged values are not written, and a task of a newer attempt is not changed.
    `execution_arn` is the execution that the caller has read in the task's row; Finalize has its own in
    `run_end`. It distinguishes the lives of the task.
    Raises TaskNotFoundError: the task does not exist, or the attempt is one of an earlier life of it: the
    data of its user was erased, or its row was deleted and made again.
    """
    lock_roadmap_of(connection, task_id)
    lock_task(connection, task_id)
    task = read_task(connection, task_id)
    if not _is_of_present_life(connection, task, attempt, execution_arn or run_end.execution_arn):
        raise TaskNotFoundError(f"attempt {attempt} is not one of task {task_id} any more")
    error = run_end.error
    try:
        account = account_for(connection, task, attempt, run_end.explanations, error)
    except (RoadmapNotFoundError, InvalidFrameworkError) as unreadable:
        error = StateError(error=unreadable.code, cause=str(unreadable))
        if isinstance(unreadable, RoadmapNotFoundError) and task.status != "processing":
            return _leave_as_it_is(connection, task, attempt, error)
        account = Account(unknown_outcome())
    outcome = account.outcome
    if outcome.status == COMPLETED and run_end.belongs_to_run(task):
        # If a redrive over the API has claimed the next attempt for this execution since its plan, that
        # attempt ends here, too: nothing is left to do for it.
        attempt = task.attempt
    is_current = task.attempt == attempt

    # Record the outcome, if anything differs from it.
    changed = [*account.changed, *_differing(task, outcome)]
    if not changed and is_current and task.attempt_is_open:
        changed.append("attempt")  # the task's row has this outcome already, the attempt's has none yet
    message = outcome.error_message
    if error is not None and outcome.status != COMPLETED:
        message = f"{error.error}: {error.reason}"[:MAX_REASON]
    summary = _record_outcome(connection, task, attempt, run_end, account, message) if changed else None

    # Record the task's current failures, and plan its next attempt.
    consequences = Consequences(task.next_at)
    if is_current:
        with undone_alone(connection, "failures_not_grouped"):
            consequences = _record_consequences(services, connection, task, outcome, account.failed)
    recoveries: Mapping[str, InRecovery] = {}
    with undone_alone(connection, "recoveries_not_read"):
        recoveries = read_recoveries_of(connection, services.capabilities, [task_id])
    turn = _turn_after(task, outcome, error, consequences, recoveries.get(task_id))
    if changed:
        logger.info(
            "stale_outcome_discarded" if summary is None else "task_finalized",
            task_id=task_id,
            attempt=attempt,
            status=outcome.status,
            missing=outcome.missing,
            changed=changed,
            turn=turn.model_dump(mode="json"),
        )

    # Free its slots, then report the end: in the order of locks (`lock_task`).
    if is_current and task.is_in_queue:
        release(connection, task_id, attempt)
    if summary is not None:
        event = task.events.finalized(
            _status_after(task, outcome), outcome.missing, summary["generated"], turn, task.updated_at
        )
        events = [event, *consequences.exhausted]
        with undone_alone(connection, "outcome_not_reported"):
            report_outcome(services, connection, task, events, account.failed, outcome, message)
    return FinalizeResult(
        task_id=task_id,
        attempt=attempt,
        status=_status_after(task, outcome),
        complete=outcome.status == COMPLETED,
        missing=outcome.missing,
        changed=changed,
        error=error or _fault_of(outcome),
        needs_person=consequences.needs_person and turn.who is Who.PERSON,
    )


def _is_of_present_life(connection: Connection, task: Task, attempt: int, execution_arn: str | None) -> bool:
    """Whether the attempt is one of the task's present life: an earlier one had other executions."""
    if task.attempt < attempt:
        return False
    if execution_arn is None or (task.attempt, task.execution_arn) == (attempt, execution_arn):
        return True
    return has_execution(connection, task.task_id, attempt, execution_arn)


def _fault_of(outcome: Outcome) -> StateError | None:
    """The error of a framework with concepts without a usable id."""
    if outcome.fault is None:
        return None
    return StateError(error=InvalidFrameworkError.code, cause=outcome.fault)


def _status_after(task: Task, outcome: Outcome) -> str:
    """A cancelled task keeps its status."""
    return task.status if task.status == "cancelled" else outcome.status


def _record_outcome(
    connection: Connection,
    task: Task,
    attempt: int,
    run_end: RunEnd,
    account: Account,
    message: str | None,
) -> dict[str, Any] | None:
    """Write the outcome to the rows of task and attempt. Returns the task's new `execution_summary`; `None`,
    and nothing is written, for a stale attempt.
    """
    outcome = account.outcome
    generated = generated_by(connection, task.task_id, attempt)
    summary = outcome.execution_summary(attempt, _duration(task, attempt, run_end), generated)
    if not record_task_outcome(connection, task.task_id, attempt, outcome, summary, message):
        return None
    left = count_by_type(account.left) if outcome.total else None  # unknown without a readable framework
    failed = count_by_type(failure.item for failure in account.failed)
    record_attempt_outcome(connection, task.task_id, attempt, left, failed)
    return summary


def _turn_after(
    task: Task,
    outcome: Outcome,
    error: StateError | None,
    consequences: "Consequences",
    recovery: InRecovery | None,
) -> Turn:
    """The task's turn, as the API answers it for the rows that this end has written."""
    advices = [advice_for(failure.error_code, failure.stage) for failure in outcome.failures]
    fault = _fault_of(outcome)
    if fault is None and not outcome.total:  # the framework could not be read
        fault = error
    if fault is not None:
        advices.append(advice_for(fault.error, Stage.WORKFLOW))
    return turn_of(
        TaskFacts(
            status=_status_after(task, outcome),
            attempt=task.attempt,
            state=QueueState.ENDED,
            next_at=consequences.next_at,
            is_missing=outcome.status != COMPLETED,
            advice=worst(advices),
            roadmap_is_deleted=task.roadmap_is_deleted,
            recovery=recovery,
        )
    )


def _leave_as_it_is(connection: Connection, task: Task, attempt: int, error: StateError) -> FinalizeResult:
    """End the open attempt of a finished task whose roadmap does not exist any more. The task's row is not
    changed: `error` is only returned.
    """
    if task.attempt == attempt and task.attempt_is_open:
        # A status of the product is no outcome.
        outcome = task.status if task.status in OUTCOMES else SUPERSEDED
        record_attempt_outcome(connection, task.task_id, attempt, None, {}, outcome)
        release(connection, task.task_id, attempt)
    return FinalizeResult(
        task_id=task.task_id,
        attempt=attempt,
        status=task.status,
        complete=task.status == COMPLETED,
        missing={},
        error=error,
    )


class Consequences(NamedTuple):
    """The consequences of an attempt's end."""

    next_at: datetime | None
    """When the next attempt begins without a request; `None` if none is planned."""

    needs_person: bool = False
    """No attempt follows, and no person knows the reasons of the items that failed in this attempt."""

    exhausted: Sequence[Event] = ()
    """The event that no attempt follows."""


def _record_consequences(
    services: Services, connection: Connection, task: Task, outcome: Outcome, failed: Sequence[Failure]
) -> Consequences:
    """Record the current failures of a task, and let capabilities plan its next attempt. `failed`: the
    failures of this attempt. A task that had an outcome before only has its failures recorded, and keeps its
    plan unless it is complete.
    """
    groups = group_failures(outcome.failures)
    before = replace_current_failures(connection, services.failure_hooks, task.task_id, task.attempt, groups)
    if task.status != "processing":
        if outcome.status == COMPLETED and task.next_at is not None:  # somebody else has saved the items
            forget_next_attempt(connection, task.task_id, task.attempt)
        return Consequences(task.next_at)
    remains, is_known = Remains(task.task_id, task.attempt, groups, before), False
    for capability in services.capabilities:
        if capability.after_outcome is not None:
            following = capability.after_outcome(services, connection, remains)
            if following.pause is not None:
                return Consequences(
                    plan_next_attempt(connection, task.task_id, task.attempt, following.pause)
                )
            is_known = is_known or following.is_known
    # What is missing without a failure in this attempt, which was for a part, was reported before.
    if not failed or not groups:
        return Consequences(None, needs_person=outcome.fault is not None)
    return Consequences(None, not is_known, [task.events.exhausted(groups[0].summary)])


def _differing(task: Task, outcome: Outcome) -> list[str]:
    """The fields of the task's row that differ from the outcome. A cancelled task keeps its status, and a
    summary that the product wrote is not changed.
    """
    counted = task.recorded_summary
    differs = {
        "status": task.status not in (outcome.status, "cancelled"),
        "failed_concepts": task.recorded_failures != outcome.failed_concepts,
        # A summary of ours has these counts, and more.
        "execution_summary": bool(counted) and not counted.items() >= outcome.counts.items(),
        "completed_at": task.completed_at is None,
    }
    return [name for name in differs if differs[name]]


def _duration(task: Task, attempt: int, run_end: RunEnd) -> float:
    """The duration of the attempt in seconds; one that was recorded with its outcome is kept."""
    recorded = task.recorded_summary
    if task.completed_at is not None and recorded.get("attempt") == attempt:
        return float(recorded["duration_seconds"])
    started_at = run_end.started_at or task.claimed_at
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
        Metric.TASKS_LATE: 0,
    }
    if run_end.started_at is not None:
        lasted = datetime.now(UTC) - run_end.started_at
        counts[Metric.TASK_SECONDS] = lasted.total_seconds()
        counts[Metric.TASKS_LATE] = int(lasted > LATE_AFTER)
    emit(counts)
    for content_type, missing in result.missing.items():
        emit({Metric.ITEMS_MISSING: missing if is_incomplete else 0}, content_type)
