"""The jobs of the sweep: each has a name and a limit of time. An error of one does not stop the next."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection

from ...contracts.api.capacity import ClassInQueue
from ...contracts.errors import named
from ...contracts.states import QueueClass
from ...platform.postgres.findings import condense_findings
from ...platform.postgres.transactions import transact
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...platform.runtime.metrics import Metric, emit
from ...state.installation import find_differences
from ...state.outbox import deliver_events
from ...state.queue.admission import admit_waiting, start_unconfirmed
from ...state.queue.capacity import queue_by_class, read_capacity
from ...state.queue.claims import STARTING
from ...state.queue.queue import silent
from ...state.services import Job, Scan, Services
from ...state.tasks.unfinished import STUCK_AFTER, count_stuck_tasks
from ..retries.retry import give_up_redrive
from .checks import forget_unchecked_tasks, plan_checks
from .retention import remove_expired
from .superseded import count_superseded
from .task_repair import repair_each, repair_task

MOST_DESCRIBED = 30
"""Executions without a sign that are described each minute: half a description a second."""

CHANGES = 1_000
"""Recorded changes per transaction."""

MOST_STUCK = 1_000
"""Stuck tasks are counted up to this limit, for the alarm."""


def run_jobs(jobs: Iterable[Job], services: Services, deadline: Deadline) -> None:
    """Run the jobs in order, each within its limit. An error is logged: the next sweep tries again."""
    for job in jobs:
        try:
            job.run(services, deadline.within(job.seconds))
        except Exception as unnamed:  # noqa: BLE001 - one job must never stop the next one
            error = named(unnamed)
            logger.error("sweep_job_failed", job=job.name, **error.why)


def in_transaction(work: Callable[[Connection], object]) -> Callable[[Services, Deadline], object]:
    """A job that is one transaction."""
    return lambda services, deadline: transact(services.engine, work, deadline)


def end_lost_runs(services: Services, deadline: Deadline) -> None:
    """Look at attempts at work without a sign for a while; finalize those whose execution has ended, without
    an event that arrived.
    """
    task_ids = transact(services.engine, silent, deadline, STARTING, MOST_DESCRIBED)
    repairs = repair_each(task_ids, partial(repair_task, services, deadline), deadline)
    for task_id, error in (repairs.locked | repairs.refused).items():  # the sweep records it, and tries again
        logger.warning("lost_run_not_ended", task_id=task_id, **error.why)


def start_again(services: Services, deadline: Deadline) -> None:
    """Start the admitted attempts that have not started; end those that cannot be redriven."""
    for task_id, attempt in start_unconfirmed(services, deadline):
        give_up_redrive(services, task_id, attempt, deadline)


def plan_changed(services: Services, deadline: Deadline) -> None:
    """Plan checks of the tasks with changed rows, page by page."""
    while transact(services.engine, plan_checks, deadline, CHANGES) == CHANGES:
        pass
    transact(services.engine, forget_unchecked_tasks, deadline)


def report_queue(services: Services, deadline: Deadline) -> None:
    """Write the metrics of the queue. While an operator has stopped generation, attempts wait by design, and
    bulk attempts while interactive ones wait: these waits are not measured.
    """

    def read(connection: Connection) -> tuple[Sequence[ClassInQueue], bool, int]:
        stopped = read_capacity(connection).stopped_reason is not None
        return queue_by_class(connection), stopped, count_stuck_tasks(connection, STUCK_AFTER, MOST_STUCK)

    classes, stopped, stuck = transact(services.engine, read, deadline)
    oldest = [
        totals.oldest_waiting_since
        for totals in classes
        if totals.queue_class == QueueClass.INTERACTIVE and totals.oldest_waiting_since is not None
    ]
    waits = (datetime.now(UTC) - min(oldest)).total_seconds() if oldest and not stopped else 0
    emit(
        {
            Metric.QUEUE_WAITING: sum(totals.waiting for totals in classes),
            Metric.QUEUE_OLDEST_SECONDS: waits,
            Metric.TASKS_AT_WORK: sum(totals.at_work for totals in classes),
            Metric.TASKS_STUCK: 0 if stopped else stuck,
        }
    )


def report_database(services: Services, deadline: Deadline) -> None:
    """Write the number of findings about the database, for the alarm."""

    def read(connection: Connection) -> int:
        condense_findings(connection)
        return len(find_differences(connection))

    emit({Metric.DATABASE_FINDINGS: transact(services.engine, read, deadline)})


def jobs_that_start_attempts(services: Services) -> Sequence[Job]:
    """Capabilities start attempts between the repetition of starts and the admission, which starts most."""
    return (
        Job("unconfirmed starts", 15, start_again),
        *services.parts_of_sweep(Job),
        Job("admission", 15, admit_waiting),
    )


def jobs_of_each_minute(services: Services) -> Sequence[Job]:
    """The jobs of the schedule of each minute."""
    return (Job("lost runs", 60, end_lost_runs), *jobs_that_start_attempts(services))


BEFORE_THE_DECISION = (Job("plan of checks", 20, plan_changed),)
"""Before the sweep decides whether it changes anything: a task with a changed row is checked next."""


def jobs_of_each_sweep(services: Services) -> Sequence[Job]:
    """The jobs of a sweep, also of one that is held."""
    return (
        *jobs_that_start_attempts(services),
        Job("counts of superseded attempts", 15, count_superseded),  # the starts supersede some
        Job("delivery of events", 30, deliver_events),
        Job("findings of the database", 10, report_database),
    )


def continued(scan: Scan, places: dict[str, str]) -> Job:
    """The job that continues a scan at its place in `places`, and writes its next place there. After an
    error, the next sweep begins at the same place.
    """

    def run(services: Services, deadline: Deadline) -> None:
        places[scan.name] = scan.run(services, places.get(scan.name, ""), deadline)

    return Job(scan.name, scan.seconds, run)


def before_the_checks(services: Services, places: dict[str, str]) -> Sequence[Job]:
    """The jobs of a sweep that is not held, before it checks tasks. Their limits leave the checks a quarter
    of the invocation's 240 seconds.
    """
    return (
        *jobs_of_each_sweep(services),
        Job("retention", 10, remove_expired),
        *(continued(scan, places) for scan in services.parts_of_sweep(Scan)),
    )
