"""Reconcile: finalize what is over but not recorded, and put right what no longer follows from the tables.

A state machine cannot catch its own timeout, an abort or the loss of its finalizer; and between a claim and
StartExecution a process may die, of which no event tells. So the end of an execution is acted on when it is
told, and a sweep looks for what was never told. It also recomputes a share of the finished tasks each time.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import AwareDatetime, Field, ValidationError, field_validator
from sqlalchemy import Connection

from ..contracts import Count, Payload, RunInput, StateError
from ..errors import ContentError, TaskNotFoundError, TransientError, named
from ..postgres.transactions import RESERVE, transact
from ..runtime.deadline import Deadline
from ..runtime.log import logger
from ..runtime.metrics import Metric, emit
from ..services import Services
from ..tasks.claims import STARTING, claim_to_record, is_at_work
from ..tasks.sweeps import record_sweep
from ..tasks.task import Task, finished_tasks, processing_tasks, read_task, tasks_of_execution
from .finalize import RunEnd, finalize_attempt

SWEEP_INTERVAL = timedelta(minutes=5)
"""How often the schedule sweeps: the clock decides which share of the finished tasks is next."""

SWEEP_LIMIT = 100
"""Tasks of each kind that one sweep looks at: it has an invocation's time, and the next sweep goes on."""

TASK_SECONDS = 12.0
"""A task's share of the time: enough to wait once for a lock, and not for the same one until the end."""


class ExecutionEnd(Payload):
    """The `detail` of EventBridge's "Step Functions Execution Status Change"."""

    execution_arn: Annotated[str, Field(alias="executionArn")]
    status: str
    error: str | None = None
    cause: str | None = None
    input: str | None = None

    @property
    def task_id(self) -> str | None:
        """The task that its input names; `None` where the input is left out, or none of ours."""
        try:
            return RunInput.model_validate_json(self.input or "").task_id
        except ValidationError:
            return None


class ReconcileRequest(Payload):
    """An execution's end, as EventBridge tells it; or a sweep, by schedule or by hand."""

    detail: ExecutionEnd | None = None
    dry_run: bool = False
    time: AwareDatetime | None = None

    @field_validator("detail", mode="before")
    @classmethod
    def _empty_is_none(cls, detail: object) -> object:
        """A scheduled event carries an empty detail."""
        return detail or None


class Repair(Payload):
    """A task whose records said otherwise than the tables, with what is so now (or would be)."""

    task_id: str
    status: str
    changed: list[str]


class NotReconciledError(TransientError):
    """Some tasks could not be reconciled; the others were. The next event or sweep tries again."""

    code = "NotReconciled"


class ReconcileResult(Payload):
    """What was looked at, and what was put right. Unfinished, the next sweep goes on."""

    checked: Count
    repairs: list[Repair]
    finished: bool
    dry_run: bool


def reconcile(request: ReconcileRequest, services: Services, deadline: Deadline) -> ReconcileResult:
    """Put right the task whose execution ended, or as many as a sweep gets to.

    Raises:
        NotReconciledError: with the tasks that could not be; all others were looked at.
        DatabaseUnavailableError: nothing was looked at.
    """
    started = time.monotonic()
    now = request.time or datetime.now(UTC)
    task_ids = transact(services.engine, lambda connection: _candidates(connection, request, now), deadline)
    repairs = []
    refusals = []
    checked = 0
    for task_id in task_ids:
        if deadline.remaining < 2 * RESERVE:
            break
        checked += 1
        try:
            repair = _reconcile_task(services, task_id, request, deadline.within(TASK_SECONDS))
        except Exception as unnamed:  # noqa: BLE001 - one task must never stop the sweep
            error = named(unnamed)
            logger.error("task_not_reconciled", task_id=task_id, error_code=error.code, reason=str(error))
            refusals.append(f"{task_id} ({error.code}: {error})")
            continue
        if repair is not None:
            repairs.append(repair)
            logger.warning("task_reconciled", dry_run=request.dry_run, **repair.model_dump(mode="json"))
    if not request.dry_run:
        emit({Metric.TASKS_REPAIRED: len(repairs)})
    finished = checked == len(task_ids)
    if request.detail is None and not request.dry_run:
        _record_sweep(services, deadline, started, checked, len(repairs), len(refusals), finished=finished)
    logger.info(
        "tasks_reconciled",
        checked=checked,
        repairs=len(repairs),
        refusals=len(refusals),
        finished=finished,
    )
    if refusals:
        raise NotReconciledError(f"{len(refusals)} of {checked} tasks, the first: {refusals[0]}")
    return ReconcileResult(checked=checked, repairs=repairs, finished=finished, dry_run=request.dry_run)


def _record_sweep(
    services: Services,
    deadline: Deadline,
    started: float,
    checked: int,
    repaired: int,
    refused: int,
    *,
    finished: bool,
) -> None:
    """Record what the sweep did, for the health. Without the record, the sweep is as good."""

    def record(connection: Connection) -> None:
        seconds = time.monotonic() - started
        record_sweep(
            connection,
            seconds=seconds,
            checked=checked,
            repaired=repaired,
            refused=refused,
            finished=finished,
        )

    try:
        transact(services.engine, record, deadline)
    except ContentError as error:
        logger.warning("sweep_not_recorded", error_code=error.code, reason=str(error))


def _candidates(connection: Connection, request: ReconcileRequest, now: datetime) -> Sequence[str]:
    if request.detail is not None:
        end = request.detail
        return tasks_of_execution(connection, end.execution_arn, end.task_id)
    sweep = int(now.timestamp() / SWEEP_INTERVAL.total_seconds())
    return [
        *processing_tasks(connection, STARTING, SWEEP_LIMIT),
        *finished_tasks(connection, sweep, SWEEP_LIMIT),
    ]


def _reconcile_task(
    services: Services, task_id: str, request: ReconcileRequest, deadline: Deadline
) -> Repair | None:
    try:
        task = transact(services.engine, lambda connection: read_task(connection, task_id), deadline)
        if is_at_work(services.executions, task):
            return None
        if request.detail is not None and not request.dry_run:
            task = claim_to_record(services, task, request.detail.execution_arn, deadline)
        run_end = RunEnd(error=_what_ended(task, request.detail))
        settled = finalize_attempt(
            services, task_id, task.attempt, run_end, deadline, dry_run=request.dry_run
        )
    except TaskNotFoundError:
        return None  # the product removed it meanwhile
    if not settled.changed:
        return None
    return Repair(task_id=task_id, status=settled.status, changed=settled.changed)


def _what_ended(task: Task, end: ExecutionEnd | None) -> StateError | None:
    """What is known of why a run ended without recording its outcome; nothing of one that did record it."""
    if task.status != "processing":
        return None
    if end is None:
        return StateError(error="ExecutionOver", cause="the run ended, or never started, without a record")
    return StateError(error=end.error or end.status, cause=end.cause or f"the execution ended {end.status}")
