"""Reconcile: finalize tasks whose execution ended without Finalize, and repair drifted projections.

A state machine cannot catch its own timeout, an abort or a failure of Finalize, and a process may crash
between the claim and StartExecution, without an event. Therefore the end event of an execution is handled,
and a scheduled sweep finds tasks without an event. A sweep also compares finished tasks with the tables:
after a change, and then more and more rarely (`tasks/checks.py`).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from pydantic import AwareDatetime, Field, ValidationError, field_validator
from sqlalchemy import Connection

from ...content.roadmaps.metadata import lock_roadmap_at_once
from ...contracts.errors import (
    ContentError,
    DatabaseUnavailableError,
    RoadmapLockedError,
    TaskNotFoundError,
    TransientError,
    named,
)
from ...contracts.payloads import Count, Payload, RunInput, StateError
from ...platform.aws.executions import CANCELLED
from ...platform.postgres.times import utc
from ...platform.postgres.transactions import transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.metrics import Metric, emit
from ...state.failures.current import forget_deleted_tasks
from ...state.outbox import deliver_events, prune_events
from ...state.queue.admission import admit_waiting, start_unconfirmed
from ...state.queue.capacity import read_capacity
from ...state.queue.claims import STARTING, claim_to_record, is_at_work
from ...state.queue.queue import blocking, leave_queue
from ...state.queue.totals import ClassTotals, queue_by_class
from ...state.services import Services
from ...state.tasks.ownership import is_at_work_elsewhere, is_ours
from ...state.tasks.task import (
    STUCK_AFTER,
    Task,
    count_stuck_tasks,
    lock_task_at_once,
    processing_tasks,
    read_product_work,
    read_task,
    tasks_of_execution,
)
from ...state.tasks.work import QueueClass
from ..recoveries.advance import advance_all
from ..retries.automatic import start_due_attempts
from ..retries.retry import give_up_redrive
from ..steps.finalize import RunEnd, count_outcome, finalize_attempt
from .checks import due_tasks, finished_tasks, forget_unchecked_tasks, plan_checks, record_check
from .finish import start_next
from .sweeps import last_sweep, record_sweep

PAGE = 100
"""Tasks per page. A sweep continues with the next page while it has time.

Of the tasks in `processing`, a scheduled sweep checks one page: it describes their executions, and Step
Functions permits about 10 descriptions a second for the whole account.
"""

MOST_DESCRIBED = 30
"""Executions that are described each minute while attempts wait: half a description a second."""

TRIES = 3
"""Maximum tries of a task that another session holds locked."""

CHANGES = 1_000
"""Recorded changes per transaction."""

TASK_SECONDS = 12.0
"""The time limit per task of a sweep. A sweep with less time left starts no further task."""

STARTING_SECONDS = 60.0
"""The time limit of a sweep for starting due attempts, in seconds."""

MOST_STUCK = 1_000
"""Stuck tasks are counted up to this limit, for the alarm."""


class ExecutionEnd(Payload):
    """The `detail` of EventBridge's "Step Functions Execution Status Change"."""

    execution_arn: Annotated[str, Field(alias="executionArn")]
    status: str
    error: str | None = None
    cause: str | None = None
    input: str | None = None

    @property
    def task_id(self) -> str | None:
        """The task in the execution's input; `None` if there is no input or no valid task in it."""
        try:
            return RunInput.model_validate_json(self.input or "").task_id
        except ValidationError:
            return None


class ReconcileRequest(Payload):
    """The end event of an execution, or a scheduled or manual sweep."""

    detail: ExecutionEnd | None = None
    dry_run: bool = False
    time: AwareDatetime | None = None
    """The time of a scheduled sweep. Without it, all finished tasks are checked, not only due ones."""

    starts_only: bool = False
    """Only start waiting and due attempts, and free the slots of runs that have ended, every minute. Full
    sweeps are less frequent.
    """

    @field_validator("detail", mode="before")
    @classmethod
    def _empty_is_none(cls, detail: object) -> object:
        """A scheduled event has an empty detail."""
        return detail or None


class Repair(Payload):
    """A task with corrected fields, and its status now (or as it would be, in a dry run)."""

    task_id: str
    status: str
    changed: list[str]


class NotReconciledError(TransientError):
    """Some tasks could not be reconciled. The next event or sweep tries again."""

    code = "NotReconciled"


class ReconcileResult(Payload):
    """The checked and repaired tasks. If `finished` is false, the next sweep continues."""

    checked: Count
    repairs: list[Repair]
    locked: Sequence[str] = ()
    """Tasks that other sessions hold locked; the next sweep checks them."""

    finished: bool
    dry_run: bool


def reconcile(request: ReconcileRequest, services: Services, deadline: Deadline) -> ReconcileResult:
    """Reconcile the task whose execution ended, or run a sweep, and count the sweeps of the schedule.

    Raises: as `_reconcile`.
    """
    # The event of a run's end has a time too.
    is_scheduled = request.time is not None and request.detail is None and not request.starts_only
    try:
        result = _reconcile(request, services, deadline)
    except (DatabaseUnavailableError, NotReconciledError):
        # The sweep runs; the database's page, or the list of refused tasks, has the cause.
        if is_scheduled:
            emit({Metric.SWEEPS: 1})
        raise
    if is_scheduled:
        emit({Metric.SWEEPS: 1})
        _report_queue(services, deadline)
    return result


def _report_queue(services: Services, deadline: Deadline) -> None:
    """Write how many attempts wait and work, and for how long. Attempts wait by design while an operator has
    stopped generation, and bulk attempts while interactive ones wait.
    """

    def read(connection: Connection) -> tuple[Sequence[ClassTotals], bool, int]:
        stopped = read_capacity(connection).stopped_reason is not None
        return queue_by_class(connection), stopped, count_stuck_tasks(connection, STUCK_AFTER, MOST_STUCK)

    try:
        classes, stopped, stuck = transact(services.engine, read, deadline)
    except ContentError as error:
        logger.warning("queue_not_reported", error_code=error.code, reason=str(error))
        return
    since = [
        utc(each.oldest_waiting_since)
        for each in classes
        if each.queue_class == QueueClass.INTERACTIVE and each.oldest_waiting_since is not None
    ]
    emit(
        {
            Metric.QUEUE_WAITING: sum(each.waiting for each in classes),
            Metric.QUEUE_OLDEST_SECONDS: (datetime.now(UTC) - min(since)).total_seconds()
            if since and not stopped
            else 0,
            Metric.TASKS_AT_WORK: sum(each.at_work for each in classes),
            Metric.TASKS_STUCK: 0 if stopped else stuck,
        }
    )


def _reconcile(request: ReconcileRequest, services: Services, deadline: Deadline) -> ReconcileResult:
    """Reconcile the task whose execution ended, or run a sweep.

    Raises:
        NotReconciledError: lists the tasks that could not be reconciled, except locked ones; all others were
            checked.
        DatabaseUnavailableError: no task was checked.
    """
    if request.starts_only:
        _free_slots(request, services, deadline.within(STARTING_SECONDS))
        _start_what_is_due(services, deadline.within(STARTING_SECONDS))
        return ReconcileResult(checked=0, repairs=[], finished=True, dry_run=False)
    started = time.monotonic()
    is_sweep = request.detail is None and not request.dry_run
    failures_checked_to = ""
    if is_sweep:
        _start_what_is_due(services, deadline.within(STARTING_SECONDS))
        deliver_events(services, deadline.within(deadline.remaining / 2))
        prune_events(services, deadline)
        failures_checked_to = _forget_deleted_tasks(services, deadline)
        _plan_checks(services, deadline.within(deadline.remaining / 2))
    found = _check_tasks(request, services, deadline)
    for task_id, error in found.refused.items():
        logger.error("task_not_reconciled", task_id=task_id, error_code=error.code, reason=str(error))
        _record_refusal(services, task_id, error, deadline)
    refusals = [
        f"{task_id} ({error.code}: {error})"
        for task_id, error in found.refused.items()
        if not isinstance(error, RoadmapLockedError)
    ]
    if is_sweep:
        emit({Metric.TASKS_REPAIRED: len(found.repairs)})
        record = partial(
            record_sweep,
            checked=found.checked,
            repaired=len(found.repairs),
            refused=len(refusals),
            finished=found.finished,
            failures_checked_to=failures_checked_to,
        )
        _record_sweep(services, deadline, started, record)
    logger.info(
        "tasks_reconciled",
        checked=found.checked,
        repairs=len(found.repairs),
        refusals=len(refusals),
        locked=len(found.locked),
        finished=found.finished,
    )
    if refusals:
        raise NotReconciledError(f"{len(refusals)} of {found.checked} tasks, the first: {refusals[0]}")
    return ReconcileResult(
        checked=found.checked,
        repairs=found.repairs,
        locked=found.locked[:PAGE],
        finished=found.finished,
        dry_run=request.dry_run,
    )


@dataclass
class _Checks:
    """The checks of a sweep."""

    checked: int = 0
    repairs: list[Repair] = field(default_factory=list)
    refused: dict[str, ContentError] = field(default_factory=dict)
    """The errors of the tasks that could not be reconciled."""

    finished: bool = True
    """Whether there was time for all tasks."""

    @property
    def locked(self) -> list[str]:
        """The tasks that other sessions hold locked."""
        return [task_id for task_id, error in self.refused.items() if isinstance(error, RoadmapLockedError)]


def _check_tasks(request: ReconcileRequest, services: Services, deadline: Deadline) -> _Checks:
    """Reconcile each task while there is time. Locked ones are tried again: their locks may be released."""
    found = _Checks()
    due: Iterable[str] = _tasks(request, services, deadline)
    for _ in range(TRIES):
        for task_id in due:
            if found.checked and deadline.remaining < TASK_SECONDS:
                found.finished = False
                break
            if task_id not in found.refused:
                found.checked += 1
            try:
                # An event concerns one task, so there is time to wait: a Save of the run may still hold the
                # roadmap's lock.
                limit = deadline if request.detail is not None else deadline.within(TASK_SECONDS)
                repair = _reconcile_task(services, task_id, request, limit)
            except Exception as unnamed:  # noqa: BLE001 - one task must never stop the sweep
                found.refused[task_id] = named(unnamed)
                continue
            found.refused.pop(task_id, None)
            if repair is not None:
                found.repairs.append(repair)
                logger.warning("task_reconciled", dry_run=request.dry_run, **repair.model_dump(mode="json"))
        due = found.locked
    return found


def _was_stopped(end: ExecutionEnd, task: Task) -> bool:
    """Whether a run was stopped other than by the cancellation of its task. Step Functions' own metric does
    not distinguish them.

    Both are checked: that the event contains the error of StopExecution was not seen on AWS, and a task that
    was retried after its cancellation is not `cancelled` any more.
    """
    return end.status == "ABORTED" and end.error != CANCELLED and task.status != "cancelled"


def _free_slots(request: ReconcileRequest, services: Services, deadline: Deadline) -> None:
    """Finalize some attempts whose executions are over, if others wait for their slots."""

    def read(connection: Connection) -> Sequence[str]:
        return blocking(connection, STARTING, MOST_DESCRIBED)

    try:
        tasks = transact(services.engine, read, deadline)
    except ContentError as error:
        logger.error("slots_not_freed", error_code=error.code, reason=str(error))
        return
    for task_id in tasks:
        if deadline.remaining < TASK_SECONDS:
            break
        try:
            _reconcile_task(services, task_id, request, deadline.within(TASK_SECONDS))
        except ContentError as error:  # the sweep records it, and tries again
            logger.warning("slots_not_freed", task_id=task_id, error_code=error.code, reason=str(error))


def _start_what_is_due(services: Services, deadline: Deadline) -> None:
    """Start admitted attempts that have not started, claim due ones, and admit waiting ones."""
    for start in (_start_unconfirmed, advance_all, start_due_attempts, admit_waiting):
        try:
            start(services, deadline)
        except ContentError as error:
            logger.error("sweep_did_not_start", error_code=error.code, reason=str(error))


def _start_unconfirmed(services: Services, deadline: Deadline) -> None:
    for task_id, attempt in start_unconfirmed(services, deadline):
        give_up_redrive(services, task_id, attempt, deadline)


def _forget_deleted_tasks(services: Services, deadline: Deadline) -> str:
    """Remove some deleted tasks from the failure groups; return the last checked task, for the next sweep."""

    def forget(connection: Connection) -> str:
        last = last_sweep(connection)
        return forget_deleted_tasks(connection, "" if last is None else last.failures_checked_to)

    try:
        return transact(services.engine, forget, deadline)
    except ContentError as error:
        logger.warning("deleted_tasks_not_forgotten", error_code=error.code, reason=str(error))
        return ""


def _plan_checks(services: Services, deadline: Deadline) -> None:
    """Plan the checks of the tasks whose rows have changed."""

    def plan(connection: Connection) -> int:
        return plan_checks(connection, CHANGES)

    try:
        while transact(services.engine, plan, deadline) == CHANGES:
            pass
        transact(services.engine, forget_unchecked_tasks, deadline)
    except ContentError as error:
        logger.error("checks_not_planned", error_code=error.code, reason=str(error))


def _record_sweep(
    services: Services, deadline: Deadline, started: float, record: Callable[..., None]
) -> None:
    """Record the result of the sweep for the health endpoint. A failure to record it is only logged."""
    try:
        transact(
            services.engine,
            lambda connection: record(connection, seconds=time.monotonic() - started),
            deadline,
        )
    except ContentError as error:
        logger.warning("sweep_not_recorded", error_code=error.code, reason=str(error))


def _tasks(request: ReconcileRequest, services: Services, deadline: Deadline) -> Iterator[str]:
    """The tasks to check: those of the ended execution, or all due tasks, page by page."""
    engine, end = services.engine, request.detail
    if end is not None:
        arn, task_id = end.execution_arn, end.task_id
        yield from transact(engine, lambda connection: tasks_of_execution(connection, arn, task_id), deadline)
        return
    seen: set[str] = set()

    def processing(connection: Connection) -> Sequence[str]:
        return processing_tasks(connection, STARTING, seen, PAGE)

    def due(connection: Connection) -> Sequence[str]:
        select = finished_tasks if request.time is None else due_tasks
        return select(connection, seen, PAGE)

    while page := transact(engine, processing, deadline):
        seen.update(page)
        yield from page
        if request.time is not None:
            break
    while page := transact(engine, due, deadline):
        seen.update(page)
        yield from page


def _reconcile_task(
    services: Services, task_id: str, request: ReconcileRequest, deadline: Deadline
) -> Repair | None:
    is_sweep = request.detail is None
    try:
        task = transact(services.engine, lambda connection: read_task(connection, task_id), deadline)
        if request.detail is not None and _was_stopped(request.detail, task):
            emit({Metric.RUNS_ABORTED: 1})
        # Also a cancelled task's attempt is open until its run has ended. If it were recorded before, the run
        # would take itself for redriven.
        if is_at_work(services.executions, task):
            _leave(services, task, request, deadline)
            return None
        if request.detail is not None and not request.dry_run:
            task = claim_to_record(services, task, request.detail.execution_arn, deadline)
        if not is_ours(task) or _is_at_work_elsewhere(services, task, deadline):
            _leave(services, task, request, deadline)
            return None

        def first(connection: Connection) -> None:
            if is_sweep:
                lock_roadmap_at_once(connection, task.roadmap_id or "")
                lock_task_at_once(connection, task_id)
                leave_queue(connection, task_id, task.attempt)  # the product has cancelled the task
                record_check(connection, task_id)

        run_end = RunEnd(error=_what_ended(task, request.detail))
        result = finalize_attempt(
            services, task_id, task.attempt, run_end, deadline, first=first, dry_run=request.dry_run
        )
    except TaskNotFoundError:
        return None  # the product deleted the task meanwhile
    if task.is_in_queue:
        start_next(services, task_id, deadline)
    if not result.changed:
        return None
    if task.status == "processing" and not request.dry_run:
        count_outcome(result, run_end)
    return Repair(task_id=task_id, status=result.status, changed=result.changed)


def _leave(services: Services, task: Task, request: ReconcileRequest, deadline: Deadline) -> None:
    """Plan the next check of a finished task that cannot be compared now. The end of the work on it is a
    change, so it is checked earlier then.
    """
    if request.time is not None and is_ours(task) and task.status != "processing":
        transact(services.engine, lambda connection: record_check(connection, task.task_id), deadline)


def _record_refusal(services: Services, task_id: str, error: ContentError, deadline: Deadline) -> None:
    """Record the error that prevented the reconciliation of a task. The task is checked again in its next
    turn.
    """

    def record(connection: Connection) -> None:
        record_check(connection, task_id, error.code, str(error))

    try:
        transact(services.engine, record, deadline.within(TASK_SECONDS))
    except ContentError as unrecorded:
        logger.warning("check_not_recorded", task_id=task_id, error_code=unrecorded.code)


def _is_at_work_elsewhere(services: Services, task: Task, deadline: Deadline) -> bool:
    """Whether the product is processing the task, or another one of its roadmap.

    In the second case only a run without an outcome is recorded: comparing a finished task with the tables
    would mark the items that the product is generating as failed.
    """
    own, siblings = transact(
        services.engine, lambda connection: read_product_work(connection, task.task_id), deadline
    )
    is_finished = task.status != "processing"
    return is_at_work_elsewhere(own) or (is_finished and any(map(is_at_work_elsewhere, siblings)))


def _what_ended(task: Task, end: ExecutionEnd | None) -> StateError | None:
    """The error with which a run ended that recorded no outcome."""
    if task.status != "processing":
        return None
    if end is None:
        return StateError(
            error="ExecutionOver", cause="the run ended without recording an outcome, or never started"
        )
    return StateError(error=end.error or end.status, cause=end.cause or f"the execution ended {end.status}")
