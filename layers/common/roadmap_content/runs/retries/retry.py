"""Retry: find a task's missing items in the content tables, and claim an attempt for them. A redrive claims
an attempt that continues the task's last execution from the state that failed.

The attempt enters the queue; it is started at once if there is capacity. Its scope is the part of the items
that it plans, and may contain saved ones, which it replaces.

`framework_data` is not used to find them. In the bug report it listed no failure although thirty tutorials
were missing, and the retry relied on it.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, Engine

from ...content.registry import CONTENT_KINDS
from ...content.roadmaps.framework import Framework
from ...content.roadmaps.metadata import load_framework, lock_roadmap
from ...content.rows import current_revisions
from ...contracts.api.capacity import QueuePlace, RetryAnswer
from ...contracts.errors import (
    ChangedSinceError,
    ClaimRefusedError,
    InvalidFrameworkError,
    NotRedrivableError,
    TaskCancelledError,
    TransientError,
)
from ...contracts.items import Item, count_by_type
from ...contracts.payloads import FinalizeResult, StateError
from ...contracts.states import Cause
from ...platform.aws.executions import ExecutionState
from ...platform.postgres.transactions import transact, transact_in_parts
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.storage.staging import Staging
from ...state.failures.failures import refused_items
from ...state.queue.admission import admit_without_slot, start_admitted
from ...state.queue.capacity import work_of
from ...state.queue.claims import claim, is_at_work, require_startable
from ...state.queue.queue import Admitted
from ...state.services import Services
from ...state.tasks.attempts import AttemptStart
from ...state.tasks.scope import Scope
from ...state.tasks.task import Task, TaskSnapshot, lift_cancellation, read_snapshot, read_task
from ..steps.end_attempt import RunEnd, end_attempt


def retry_task(
    services: Services,
    task_id: str,
    user_id: str | None,
    deadline: Deadline,
    start: AttemptStart,
    *,
    take_over: bool = False,
) -> RetryAnswer:
    """Start the next attempt for the items of `start.scope`; if there are none, correct the task's records.

    `user_id` restricts it to that user's tasks. `start` is written to the audit trail. `take_over` starts it
    although the product is processing a task of the roadmap.

    Raises:
        TaskNotFoundError: the user has no such task.
        RoadmapNotFoundError, InvalidFrameworkError: there is no framework to compare the tables with.
        ItemNotFoundError: the roadmap has no such concept.
        ChangedSinceError: the scope has an instruction for revisions that no item has any more.
        ClaimRefusedError: an attempt is running for the task.
        TaskCancelledError: the attempt is automatic, and the task was cancelled.
        NotAtContentStageError: the task has not reached content generation in the product.
        AtWorkElsewhereError: the product is processing a task of the roadmap, and `take_over` is not set.
        DatabaseUnavailableError: a retry may succeed.
        ExecutionsUnavailableError: as above; nothing was claimed.
    """
    snapshot, items = plan_retry(
        services, services.engine, task_id, user_id, deadline, start.scope, take_over=take_over
    )
    task = snapshot.task
    if start.cause is Cause.AUTOMATIC and task.status == "cancelled":
        raise TaskCancelledError(f"task {task_id} was cancelled: only a request starts its next attempt")
    if not items:
        is_complete = not snapshot.missing and snapshot.framework.fault is None
        answer = _nothing_missing(services, task, deadline, is_complete=is_complete)
        require_usable(snapshot)
        return answer
    execution_arn = services.executions.new_arn(task_id, task.attempt + 1)
    if task.attempt == 0 and start.cause is Cause.RETRY:
        start = start._replace(cause=Cause.FIRST_RUN)
    purpose = " for the missing items"
    if start.scope.regenerate:
        purpose = f"; saved items to replace: {len(set(items) - set(snapshot.missing))}"
    return _start(services, task, items, execution_arn, deadline, start, purpose, take_over=take_over)


def require_usable(snapshot: TaskSnapshot) -> None:
    """Require that a task without missing items is complete.
    Raises InvalidFrameworkError: concepts of its framework have no usable id, and so no items.
    """
    if snapshot.framework.fault is not None and not snapshot.missing:
        raise InvalidFrameworkError(snapshot.framework.fault)


def _start(
    services: Services,
    task: Task,
    items: Sequence[Item],
    execution_arn: str,
    deadline: Deadline,
    start: AttemptStart,
    purpose: str,
    *,
    take_over: bool = False,
) -> RetryAnswer:
    """Claim the next attempt for these items. It starts at once if there is capacity, or nothing to generate.
    Its estimated work is corrected by the plan, which knows the staged items. `purpose` is the end of the
    answer's message.
    """
    settings = services.settings
    concepts = len({item.concept_id for item in items})
    work = work_of(len(items), concepts, settings.batch_size, settings.max_concurrency)
    claimed, admitted, place = claim(
        services, task, execution_arn, deadline, start, work, take_over=take_over
    )
    logger.set_correlation_id(execution_arn)  # the run logs the same id
    logger.info("attempt_claimed", task_id=task.task_id, attempt=claimed.attempt, total_items=len(items))
    waits = claimed.is_waiting
    # Not a regeneration: what is staged under an item's own key is the content that it replaces.
    if (
        waits
        and not start.scope.regenerate
        and (at_once := _admit_if_staged(services, claimed, items, deadline))
    ):
        admitted, waits = [*admitted, *at_once], False
    refused = start_admitted(services, admitted, deadline)
    if refusal := refused.get((task.task_id, claimed.attempt)):
        give_up_redrive(services, task.task_id, claimed.attempt, deadline)
        raise refusal
    message = f"Attempt {'queued' if waits else 'started'}{purpose}"
    return _answer(claimed, items, "processing", message, start.cause, waits=waits, place=place)


def _admit_if_staged(
    services: Services, claimed: Task, items: Sequence[Item], deadline: Deadline
) -> Sequence[Admitted]:
    """Admit a waiting attempt at once if all of its items are staged. S3 is only asked while the capacity is
    used up. Refused content may have to be generated again.
    """
    try:
        staged = Staging(services.bucket, claimed.roadmap_id or "").staged_among(items)
        if len(staged) < len(items):
            return ()
        refused = transact(services.engine, refused_items, deadline, claimed.task_id)
        if not staged.isdisjoint(refused):
            return ()
        return admit_without_slot(services, claimed.task_id, claimed.attempt, deadline)
    except TransientError as error:
        # The claim succeeded: the attempt keeps its place.
        logger.warning("staged_items_not_checked", task_id=claimed.task_id, reason=str(error))
        return ()


def plan_retry(
    services: Services,
    engine: Engine,
    task_id: str,
    user_id: str | None,
    deadline: Deadline,
    scope: Scope,
    *,
    take_over: bool,
) -> tuple[TaskSnapshot, list[Item]]:
    """The items that a retry of a scope would plan now. A preview reads them with the reader's `engine`.
    Raises ContentError: the retry is refused; see `retry_task`.
    """
    snapshot = _read_startable(services, engine, task_id, user_id, deadline, take_over=take_over)
    if scope.concept_id is not None:
        snapshot.framework.require(scope.concept_id)
    items = scope.select(snapshot.framework, snapshot.missing)
    if scope.revisions is None:
        return snapshot, items
    roadmap_id = snapshot.task.roadmap_id or ""
    current = transact(engine, current_revisions, deadline, roadmap_id, items)
    unchanged = scope.unchanged(items, current)
    # An instruction was written for the content that a person has read: it is not applied to another one.
    if items and not unchanged and scope.instruction is not None:
        raise ChangedSinceError("the content has been changed since: read it again")
    return snapshot, unchanged


def redrive_task(
    services: Services, task_id: str, user_id: str | None, deadline: Deadline, start: AttemptStart
) -> RetryAnswer:
    """Claim the next attempt for the task's last execution, which is redriven from its failed state when the
    attempt is admitted.

    Raises:
        TaskNotFoundError, RoadmapNotFoundError, InvalidFrameworkError: as for a retry.
        ClaimRefusedError, NotAtContentStageError, AtWorkElsewhereError: as for a retry.
        NotRedrivableError: there is no execution, or Step Functions refused to redrive it.
    """
    snapshot, execution_arn = plan_redrive(services, services.engine, task_id, user_id, deadline)
    start = start._replace(cause=Cause.CHECKPOINT)
    purpose = ": the last execution continues from the state that failed"
    return _start(services, snapshot.task, snapshot.missing, execution_arn, deadline, start, purpose)


def plan_redrive(
    services: Services, engine: Engine, task_id: str, user_id: str | None, deadline: Deadline
) -> tuple[TaskSnapshot, str]:
    """The task and the execution that a redrive would continue. A preview reads with the reader's `engine`.
    Raises ContentError: the redrive is refused; see `redrive_task`.
    """
    snapshot = _read_startable(services, engine, task_id, user_id, deadline, take_over=False)
    require_usable(snapshot)
    execution_arn = snapshot.task.execution_arn
    if execution_arn is None:
        raise NotRedrivableError(f"task {task_id} has never been run")
    match services.executions.state(execution_arn):
        case ExecutionState.SUCCEEDED:
            raise NotRedrivableError("Execution is SUCCEEDED and cannot be redriven")
        case ExecutionState.RUNNING:  # on its way to AwaitRedrive: its outcome is recorded already
            raise ClaimRefusedError(task_id, snapshot.task.attempt, execution_arn)
        case ExecutionState.UNKNOWN:
            raise NotRedrivableError("the last execution does not exist in Step Functions")
        case _:
            return snapshot, execution_arn


def give_up_redrive(services: Services, task_id: str, attempt: int, deadline: Deadline) -> None:
    """Finalize an attempt that was claimed for a redrive that Step Functions refused."""
    error = StateError(error=NotRedrivableError.code, cause="the last execution could not be redriven")
    run_end = RunEnd(error=error)
    transact_in_parts(services.engine, end_attempt, deadline, services, task_id, attempt, run_end)


def _read_startable(
    services: Services,
    engine: Engine,
    task_id: str,
    user_id: str | None,
    deadline: Deadline,
    *,
    take_over: bool,
) -> TaskSnapshot:
    """Read the user's task with its items, if an attempt may be started. That `framework_data` names no
    failure is logged, and decides nothing. Raises ContentError: the request is refused; see `retry_task`.
    """

    def read(connection: Connection) -> TaskSnapshot:
        task = read_task(connection, task_id, user_id)
        services.require_permitted(connection, task_id)
        require_startable(connection, task, take_over=take_over)
        return read_snapshot(connection, task)

    snapshot = transact(engine, read, deadline)
    task = snapshot.task
    if is_at_work(services.executions, task):
        raise ClaimRefusedError(task_id, task.attempt, task.execution_arn)
    if not _names_a_failure(snapshot.framework):
        logger.info("no_failed_items_in_framework_checking_database", task_id=task_id)
        if snapshot.missing:
            concept_ids = list(dict.fromkeys(item.concept_id for item in snapshot.missing))
            logger.warning(
                "found_missing_concepts_in_database",
                task_id=task_id,
                roadmap_id=snapshot.task.roadmap_id,
                missing_count=len(concept_ids),
                missing_concepts=concept_ids[:100],
            )
    return snapshot


def _names_a_failure(framework: Framework) -> bool:
    """Whether `framework_data` marks an item as failed, in the field of its content type for the status."""
    fields = [field for kind in CONTENT_KINDS.values() for field in kind.project(None)]
    statuses = [field for field in fields if field.endswith("_status")]
    return any(node.get(status) == "failed" for node in framework.nodes.values() for status in statuses)


def _nothing_missing(services: Services, task: Task, deadline: Deadline, *, is_complete: bool) -> RetryAnswer:
    """Correct the task's records if they differ from the tables: the case of the bug report. A cancelled task
    stays cancelled, unless it is complete.
    """

    def correct(connection: Connection) -> FinalizeResult:
        if is_complete:
            lock_roadmap(connection, task.roadmap_id or "")
            # Raises if the roadmap was deleted since the task was read: then the task stays as it is.
            load_framework(connection, task.roadmap_id, task.user_id)
            lift_cancellation(connection, task.task_id, "processing")  # the end below records its outcome
        subject = task.task_id, task.attempt, RunEnd(), task.execution_arn
        return end_attempt(connection, services, *subject)

    result = transact_in_parts(services.engine, correct, deadline)
    message = f"; corrected: {', '.join(result.changed)}" if result.changed else ""
    return _answer(task, (), result.status, f"None of the requested items is missing{message}")


def _answer(
    task: Task,
    items: Sequence[Item],
    status: str,
    message: str,
    cause: Cause = Cause.RETRY,
    *,
    waits: bool = False,
    place: QueuePlace | None = None,
) -> RetryAnswer:
    """The answer for an attempt for these items, or for none. One that waits has no execution yet."""
    return RetryAnswer(
        recovery_type="checkpoint" if cause is Cause.CHECKPOINT else "content_retry",
        task_id=task.task_id,
        roadmap_id=task.roadmap_id,
        status=status,
        items_to_retry=count_by_type(items),
        total_items=len(items),
        attempt=task.attempt,
        execution_arn=None if waits else task.execution_arn,
        queue=place if waits else None,
        message=message,
    )
