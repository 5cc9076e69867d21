"""Reconcile: the step's function for an execution's end, for a schedule and for an operator.

A process may crash between the claim and StartExecution, and an event may be lost. Therefore a scheduled
sweep finds the tasks that no event reported. It also compares finished tasks with the tables: after a change,
and then more and more rarely (`checks.py`).
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

from pydantic import AwareDatetime, field_validator
from sqlalchemy import Connection

from ...contracts.errors import DatabaseUnavailableError, TransientError
from ...contracts.payloads import Count, Payload
from ...platform.postgres.transactions import transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.metrics import Metric, emit
from ...state.queue.claims import STARTING
from ...state.services import Job, Services
from ...state.tasks.unfinished import processing_tasks
from .checks import due_tasks, finished_tasks, record_check
from .content_loss import why_held
from .execution_end import ExecutionEnd, record_execution_end
from .jobs import (
    BEFORE_THE_DECISION,
    before_the_checks,
    in_transaction,
    jobs_of_each_minute,
    jobs_of_each_sweep,
    report_queue,
    run_jobs,
)
from .sweeps import Sweep, last_sweep, record_sweep
from .task_repair import TASK_SECONDS, Repair, Repairs, repair_each, repair_task

PAGE = 100
"""Maximum tasks in `processing` that a scheduled sweep checks: it describes their executions, and Step
Functions permits about 10 descriptions a second for the whole account. Also the most locked tasks that a
result names.
"""


class ReconcileRequest(Payload):
    """The end event of an execution, a schedule's event, or an operator's request."""

    detail: ExecutionEnd | None = None
    dry_run: bool = False
    time: AwareDatetime | None = None
    """The time of a scheduled sweep. Without it, all finished tasks are checked, not only due ones."""

    starts_only: bool = False
    """The schedule of each minute: start waiting and due attempts, and end lost runs."""

    accept_loss: str | None = None
    """An operator's word, with the reason: rows that are gone were removed on purpose (`content_loss.py`)."""

    @field_validator("detail", mode="before")
    @classmethod
    def _empty_is_none(cls, detail: object) -> object:
        """A scheduled event has an empty detail."""
        return detail or None


class NotReconciledError(TransientError, code="NotReconciled"):
    """Some tasks could not be reconciled. The next event or sweep tries again."""


class ReconcileResult(Payload):
    """The checked and repaired tasks. If `finished` is false, the next sweep continues."""

    checked: Count
    repairs: list[Repair]
    locked: Sequence[str] = ()
    """Tasks that other sessions hold locked; the next sweep checks them."""

    finished: bool
    dry_run: bool


def reconcile(request: ReconcileRequest, services: Services, deadline: Deadline) -> ReconcileResult:
    """Handle the request: an execution's end, the minute's starts, a dry run or a sweep.

    Raises:
        NotReconciledError: names a task that could not be reconciled; all others were checked.
        SweepHeldError: no task was checked, and nothing was removed.
        DatabaseUnavailableError: no task was checked.
    """
    if request.detail is not None:
        return _report(record_execution_end(request.detail, services, deadline), services, deadline)
    if request.starts_only:
        run_jobs(jobs_of_each_minute(services), services, deadline)
        return ReconcileResult(checked=0, repairs=[], finished=True, dry_run=False)
    if request.dry_run:
        repairs = _check_tasks(services, deadline, is_scheduled=False, dry_run=True)
        return _report(repairs, services, deadline, dry_run=True)
    return _sweep(request, services, deadline)


def _sweep(request: ReconcileRequest, services: Services, deadline: Deadline) -> ReconcileResult:
    """Run the jobs of the sweep, then check tasks while there is time, and record the sweep. It is held, and
    changes nothing of tasks, if much content is gone (`content_loss.py`) and no operator accepts that.
    """
    started, is_scheduled = time.monotonic(), request.time is not None
    places: dict[str, str] = {}  # where each scan continues; the scans write their new places into it
    run_jobs(BEFORE_THE_DECISION, services, deadline)
    try:
        held = None if request.accept_loss else why_held(services, deadline)
        if request.accept_loss:
            logger.warning("loss_accepted", reason=request.accept_loss)
        last = transact(services.engine, last_sweep, deadline)
        places.update({} if last is None else last.places)
        jobs = jobs_of_each_sweep(services) if held else before_the_checks(services, places)
        run_jobs(jobs, services, deadline)
        repairs = Repairs() if held else _check_tasks(services, deadline, is_scheduled=is_scheduled)
    except DatabaseUnavailableError:
        if is_scheduled:  # the schedule works: the alarm of the database reports the cause, not this one
            emit({Metric.SWEEPS: 1})
        raise
    emit({Metric.TASKS_REPAIRED: len(repairs.repaired)})

    sweep = Sweep(
        swept_at=datetime.now(UTC),
        seconds=round(time.monotonic() - started, 3),
        checked=repairs.checked,
        repaired=len(repairs.repaired),
        refused=len(repairs.refused),
        finished=repairs.is_finished,
        places=places,
        held=None if held is None else str(held),
    )
    record = partial(record_sweep, sweep=sweep)
    run_jobs([Job("record of the sweep", 10, in_transaction(record))], services, deadline)
    if is_scheduled:
        emit({Metric.SWEEPS: 1})
        run_jobs([Job("metrics of the queue", 10, report_queue)], services, deadline)
    if held:
        logger.error("sweep_held", **held.why)
        raise held
    return _report(repairs, services, deadline)


def _check_tasks(
    services: Services, deadline: Deadline, *, is_scheduled: bool, dry_run: bool = False
) -> Repairs:
    """Check tasks in `processing`, and then finished ones: all, or those that are due.
    Raises DatabaseUnavailableError: no task was checked.
    """
    # A person's request checks every task, also one that has just been claimed.
    page, unchanged = (PAGE, STARTING) if is_scheduled else (None, timedelta(0))
    finished = due_tasks if is_scheduled else finished_tasks

    def read_ids(connection: Connection) -> list[str]:
        return [*processing_tasks(connection, unchanged, page), *finished(connection)]

    # All ids before the first check: a later error would lose the results, and a check changes the order.
    task_ids = transact(services.engine, read_ids, deadline)
    return repair_each(task_ids, partial(repair_task, services, deadline, dry_run=dry_run), deadline)


def _report(
    repairs: Repairs, services: Services, deadline: Deadline, *, dry_run: bool = False
) -> ReconcileResult:
    """Log the repairs, and record the errors of tasks, so that these are checked soon; return the result.

    Raises NotReconciledError: a task could not be reconciled; names the first one.
    """
    for task_id, error in (repairs.locked | repairs.refused).items():
        logger.error("task_not_reconciled", task_id=task_id, **error.why)
        if not dry_run:
            record = partial(record_check, task_id=task_id, error_code=error.code, reason=str(error))
            run_jobs([Job("error of a task", TASK_SECONDS, in_transaction(record))], services, deadline)
    logger.info(
        "tasks_reconciled",
        checked=repairs.checked,
        repairs=len(repairs.repaired),
        refusals=len(repairs.refused),
        locked=len(repairs.locked),
        finished=repairs.is_finished,
    )
    if repairs.refused:
        task_id, error = next(iter(repairs.refused.items()))
        first = f"{task_id} ({error.code}: {error})"
        raise NotReconciledError(f"{len(repairs.refused)} of {repairs.checked} tasks, the first: {first}")
    return ReconcileResult(
        checked=repairs.checked,
        repairs=repairs.repaired,
        locked=list(repairs.locked)[:PAGE],
        finished=repairs.is_finished,
        dry_run=dry_run,
    )
