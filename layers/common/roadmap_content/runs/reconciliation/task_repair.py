"""Compare tasks with the content tables, one by one, and correct the records of those that differ."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection

from ...content.roadmaps.metadata import lock_roadmap_at_once
from ...contracts.errors import ContentError, RoadmapLockedError, TaskNotFoundError, named
from ...contracts.payloads import FinalizeResult, Payload, StateError
from ...platform.postgres.transactions import transact, transact_in_parts
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...state.queue.claims import is_at_work
from ...state.queue.queue import leave_queue
from ...state.services import Services
from ...state.tasks.ownership import is_at_work_elsewhere
from ...state.tasks.task import Task, lock_task_at_once, read_product_work, read_task
from ..steps.end_attempt import RunEnd, emit_outcome, end_attempt
from ..steps.finalize import start_next
from .checks import record_check

TASK_SECONDS = 12.0
"""The time limit per task. With less time left, no further task is started."""

TRIES = 3
"""Maximum tries of a task that another session holds locked."""

NO_OUTCOME = StateError(
    error="ExecutionOver", cause="the run ended without recording an outcome, or never started"
)


class Repair(Payload):
    """A task with corrected fields, and its status now (or as it would be, in a dry run)."""

    task_id: str
    status: str
    changed: list[str]


@dataclass
class Repairs:
    """The results of the tasks that were compared."""

    checked: int = 0
    repaired: list[Repair] = field(default_factory=list)
    locked: dict[str, ContentError] = field(default_factory=dict)
    """The tasks that other sessions hold locked, with the error."""

    refused: dict[str, ContentError] = field(default_factory=dict)
    """The other tasks that could not be compared, with the error."""

    is_finished: bool = True
    """Whether there was time for all tasks."""


def repair_each(
    task_ids: Iterable[str], repair: Callable[[str], Repair | None], deadline: Deadline
) -> Repairs:
    """Repair each task while there is time, at least one. Locked ones are tried again: their locks may be
    released. An error of one task is recorded in the result, and does not stop the next.
    """
    repairs = Repairs()
    for _ in range(TRIES):
        for task_id in task_ids:
            if repairs.checked and deadline.remaining < TASK_SECONDS:
                repairs.is_finished = False
                break
            if repairs.locked.pop(task_id, None) is None:  # its first try
                repairs.checked += 1
            try:
                repaired = repair(task_id)
            except RoadmapLockedError as error:
                repairs.locked[task_id] = error
            except TaskNotFoundError:
                pass  # the product has deleted the task
            except Exception as unnamed:  # noqa: BLE001 - one task must never stop the sweep
                repairs.refused[task_id] = named(unnamed)
            else:
                if repaired is not None:
                    repairs.repaired.append(repaired)
        task_ids = list(repairs.locked)
    return repairs


def repair_task(
    services: Services, deadline: Deadline, task_id: str, *, dry_run: bool = False
) -> Repair | None:
    """Compare a task of ours on which nobody works with the tables, and correct its records; `None` if
    nothing differs, or others work on it. A locked task is not waited for. `dry_run`: undo everything.

    Raises:
        RoadmapLockedError: another session holds the task or its roadmap locked.
        TaskNotFoundError: there is no such task.
    """
    deadline = deadline.within(TASK_SECONDS)
    task = transact(services.engine, read_task, deadline, task_id)
    # A cancelled task is at work until its run has ended, too. With an outcome that was recorded before, the
    # run's next Plan would take itself for redriven, and claim another attempt.
    waits_in_vain = task.is_waiting and task.roadmap_is_deleted
    at_work = not waits_in_vain and is_at_work(services.executions, task)
    if at_work or not may_be_compared(services, task, deadline):
        if task.is_ours and task.status != "processing" and not dry_run:
            # Its pause doubles; but the end of the work on it is a change, after which it is checked again.
            transact(services.engine, record_check, deadline, task_id)
        return None

    run_end = run_end_of(task, NO_OUTCOME)

    def repair(connection: Connection) -> FinalizeResult:
        lock_roadmap_at_once(connection, task.roadmap_id or "")
        lock_task_at_once(connection, task_id)
        # It waits if the product has cancelled the task, or deleted its roadmap: nothing will start it.
        leave_queue(connection, task_id, task.attempt)
        record_check(connection, task_id)
        result = end_attempt(connection, services, task_id, task.attempt, run_end, task.execution_arn)
        if dry_run:
            connection.rollback()
        return result

    result = transact_in_parts(services.engine, repair, deadline)
    return after_end(services, task, run_end, result, deadline, dry_run=dry_run)


def may_be_compared(services: Services, task: Task, deadline: Deadline) -> bool:
    """Whether a task is ours, and the product does not work on it.

    If the product works on another task of the roadmap, only a run without an outcome is recorded: comparing
    a finished task with the tables would mark the items that the product is generating as failed.
    """
    if not task.is_ours:
        return False
    work, work_on_others = transact(services.engine, read_product_work, deadline, task.task_id)
    if is_at_work_elsewhere(work):
        return False
    return task.status == "processing" or not any(map(is_at_work_elsewhere, work_on_others))


def run_end_of(task: Task, error: StateError) -> RunEnd:
    """The end of a task's run. `error` is the cause if the run recorded no outcome."""
    return RunEnd(error=error if task.status == "processing" else None)


def after_end(
    services: Services,
    task: Task,
    run_end: RunEnd,
    result: FinalizeResult,
    deadline: Deadline,
    *,
    dry_run: bool = False,
) -> Repair | None:
    """Start waiting work in place of a task's ended run, and report the repair; `None` if nothing was
    changed.
    """
    if task.is_in_queue and not dry_run:
        start_next(services, task.task_id, deadline)
    if not result.changed:
        return None
    if run_end.error is not None and not dry_run:
        emit_outcome(result, run_end)
    repair = Repair(task_id=task.task_id, status=result.status, changed=result.changed)
    logger.warning("task_reconciled", dry_run=dry_run, **repair.model_dump(mode="json"))
    return repair
