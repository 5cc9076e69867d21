"""AwaitRedrive: make an incomplete execution fail visibly, and plan again after a redrive.

Step Functions re-runs only a Task that failed without a Catch, so this step raises. After a redrive, the
context's `RedriveCount` is higher than the count that was planned for. It keeps that value for the rest of
the redrive, so the condition `RedriveCount > 0` would plan again forever.
"""

from sqlalchemy import Connection

from ...contracts.errors import ContentIncomplete, InvalidFrameworkError, StaleAttemptError
from ...contracts.payloads import Count, Execution, FinalizeResult, Payload, TaskId
from ...contracts.states import Cause
from ...platform.postgres.transactions import transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...state.queue.claims import claim_in_run
from ...state.services import Services
from ...state.tasks.attempts import CONSOLE, AttemptStart, has_execution
from ...state.tasks.task import TaskSnapshot, read_snapshot, read_task


class FinalizedOutcome(FinalizeResult):
    """The outcome, and the `RedriveCount` for which the attempt was planned."""

    planned_redrive_count: Count


class AwaitRedriveRequest(Payload):
    outcome: FinalizedOutcome
    execution: Execution


class AwaitRedriveResult(Payload):
    """The result of a redriven execution: plan again for a new attempt, or end because nothing is missing."""

    replan: bool
    task_id: TaskId
    attempt: int | None


def await_redrive(request: AwaitRedriveRequest, services: Services, deadline: Deadline) -> AwaitRedriveResult:
    """Raise until the execution is redriven; then claim a new attempt, or end if nothing is missing.

    Raises:
        ContentIncomplete: the run has not been redriven since its plan, with the number of missing items; or
            nothing is missing but concepts without a usable id.
        TaskCancelledError: the task was cancelled after the redrive.
        ClaimRefusedError: another execution is processing the task.
        StaleAttemptError: the execution has ended, and this call was delivered late; or its attempt is one of
            an earlier life of the task.
        DatabaseUnavailableError: a retry may succeed.
    """
    outcome = request.outcome
    if request.execution.redrive_count <= outcome.planned_redrive_count:
        raise ContentIncomplete(_what_is_missing(outcome))

    task, framework, _, missing = transact(services.engine, _read_snapshot, deadline, request)
    # An attempt that was claimed for the redrive needs an outcome, even if nothing is missing any more.
    if not missing and not task.is_unfinished(request.execution.arn):
        if framework.fault is not None:
            raise ContentIncomplete(f"task {task.task_id}; {InvalidFrameworkError.code}: {framework.fault}")
        logger.info("redrive_found_nothing_missing", task_id=task.task_id)
        return AwaitRedriveResult(replan=False, task_id=task.task_id, attempt=outcome.attempt)
    start = AttemptStart(CONSOLE, Cause.CONSOLE_REDRIVE)
    claimed = claim_in_run(services, task, request.execution, deadline, start)
    logger.info("redrive_claimed", task_id=claimed.task_id, attempt=claimed.attempt)
    return AwaitRedriveResult(replan=True, task_id=claimed.task_id, attempt=claimed.attempt)


def _read_snapshot(connection: Connection, request: AwaitRedriveRequest) -> TaskSnapshot:
    """The task of the run, with its items.
    Raises StaleAttemptError: the attempt is of an earlier life of the task.
    """
    task_id, attempt, arn = request.outcome.task_id, request.outcome.attempt, request.execution.arn
    task = read_task(connection, task_id)
    if attempt is not None and not has_execution(connection, task_id, attempt, arn):
        raise StaleAttemptError(f"attempt {attempt} of {arn} is not one of task {task_id} any more")
    return read_snapshot(connection, task)


def _what_is_missing(outcome: FinalizedOutcome) -> str:
    """The message of the failed execution."""
    counts = ", ".join(f"{count} {content_type}" for content_type, count in outcome.missing.items() if count)
    parts = [f"task {outcome.task_id}", f"missing: {counts}" if counts else outcome.status]
    if outcome.error is not None:
        parts.append(f"{outcome.error.error}: {outcome.error.reason}")
    return "; ".join(parts)
