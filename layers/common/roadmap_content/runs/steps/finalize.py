"""Finalize: record the outcome of a run, after success or failure, and start waiting work in its place."""

from collections.abc import Sequence

from ...contracts.errors import ContentError, StaleAttemptError, TaskNotFoundError
from ...contracts.payloads import Execution, FinalizeResult, Payload, Plan, RunInput, StateError
from ...platform.postgres.transactions import transact, transact_in_parts
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...state.queue.admission import admit_waiting
from ...state.queue.claims import claim_to_record
from ...state.services import Services
from ...state.tasks.attempt_reading import latest_actor
from ...state.tasks.task import read_task
from .accounting import LostBatch, explain_lost
from .end_attempt import RunEnd, emit_outcome, end_attempt

CONTINUE_SECONDS = 20.0
"""The time after a run's end for starting other work. The sweep continues."""


class FinalizeRequest(Payload):
    """A run, as the state machine knows it at its end: without `plan`, it failed before or in Plan."""

    input: RunInput
    execution: Execution
    plan: Plan | None = None
    lost: Sequence[LostBatch] = ()
    error: StateError | None = None


def finalize_task(request: FinalizeRequest, services: Services, deadline: Deadline) -> FinalizeResult:
    """Record a run's outcome, and give its slots to waiting attempts. Raises as `record_run_end` does."""
    result = record_run_end(request, services, deadline)
    start_next(services, result.task_id, deadline.within(CONTINUE_SECONDS))
    return result


def record_run_end(request: FinalizeRequest, services: Services, deadline: Deadline) -> FinalizeResult:
    """End the attempt of a run. Nothing is recorded if the task has no such attempt, as after an erasure.
    Raises DatabaseUnavailableError: nothing was written; a retry may succeed.
    """
    task_id = request.input.task_id
    try:
        attempt, run_end = _ended_attempt(request, services, deadline)
        subject = task_id, attempt, run_end
        result = transact_in_parts(services.engine, end_attempt, deadline, services, *subject)
    except (TaskNotFoundError, StaleAttemptError) as reason:
        return _nothing_to_record(request, reason)
    emit_outcome(result, run_end)
    return result


def _ended_attempt(request: FinalizeRequest, services: Services, deadline: Deadline) -> tuple[int, RunEnd]:
    """The attempt of the run, and its end: the attempt of the plan. A run that failed before its plan is in
    the task's row, or claims the task's first attempt now, so that its end can be recorded.

    Raises:
        TaskNotFoundError: there is no such task.
        StaleAttemptError: the task is at another execution's attempt.
    """
    plan, arn = request.plan, request.execution.arn
    if plan is not None:
        explanations = explain_lost(services.bucket, plan.manifest, request.lost)
        return plan.attempt, RunEnd(request.error, explanations, plan.claimed_at, arn)
    task_id = request.input.task_id
    task = transact(services.engine, read_task, deadline, task_id)
    if request.input.attempt is None:
        task = claim_to_record(services, task, arn, deadline)
    if task.execution_arn != arn:
        raise StaleAttemptError(f"task {task_id} is at attempt {task.attempt}, {task.execution_arn}")
    return task.attempt, RunEnd(request.error, started_at=request.execution.start_time, execution_arn=arn)


def _nothing_to_record(request: FinalizeRequest, reason: ContentError) -> FinalizeResult:
    """The result of a run without an attempt of the task: the execution ends as incomplete."""
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


def start_next(services: Services, task_id: str, deadline: Deadline) -> None:
    """After a run's end, let capabilities continue, and admit waiting attempts. An error is logged: the
    outcome is recorded, and the sweep does the same.
    """
    try:
        actor = transact(services.engine, latest_actor, deadline, task_id)
        for capability in services.capabilities:
            if capability.after_run is not None and actor is not None:
                capability.after_run(services, actor, deadline)
        admit_waiting(services, deadline)
    except ContentError as error:
        logger.warning("next_not_started", task_id=task_id, **error.why)
