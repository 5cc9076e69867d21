"""`GET /api/v1/health`: whether a person must act. Reads stored sums, and counts with a limit."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from ..contracts.api.capacity import ClassInQueue, GenerationStop
from ..contracts.api.system import (
    Activity,
    Attention,
    AutomaticAttempts,
    DatabaseFinding,
    Health,
    HourOfWork,
    LastSweep,
    QueueHealth,
)
from ..contracts.errors import DatabaseUnavailableError, RolesUnavailableError
from ..contracts.reasons import WITHOUT_DATABASE
from ..contracts.states import QueueClass
from ..platform.postgres.sqlstate import INSUFFICIENT_PRIVILEGE, is_transient
from ..platform.postgres.transactions import DataRefusedError, sqlstate_and_reason, transact
from ..platform.runtime.deadline import Deadline
from ..runs.reconciliation.sweeps import Sweep, last_sweep
from ..state.activity import read_activity
from ..state.installation import find_differences
from ..state.outbox import count_unsent_events
from ..state.queue.capacity import Capacity, queue_by_class, read_capacity, require_write
from ..state.recovering import waiting_tasks
from ..state.services import Capability, Services
from ..state.tasks.attempt_reading import claimed_before
from ..state.tasks.attempts import planned_attempts, tokens_of_a_day
from ..state.tasks.counting import count_by_status
from ..state.tasks.time_zone import contradicts, describe_offset, time_ahead
from ..state.tasks.unfinished import STUCK_AFTER, count_stuck_tasks

T = TypeVar("T")

SWEEP_OVERDUE = timedelta(minutes=20)
"""The time without a sweep that counts as overdue. The schedule is every five minutes.

For a stack without any sweep, the time starts with its first attempt: a sweep is not overdue before that, nor
directly after the first deployment.
"""

HALTED_AFTER = timedelta(minutes=10)
"""The time of two sweeps. Each admits waiting attempts: both have refused one that has waited for longer
while none is at work.
"""

HEALTH_SECONDS = 5.0
"""The time of the answer: a database that hangs must be reported at once."""

MOST_STUCK, MOST_WAITING = 100, 10_000
"""Stuck tasks and waiting events are counted up to these limits. Each stuck task needs a look-up of its
latest event.
"""

MOST_WAITING_AT_REST = 1_000
"""The number of waiting events that needs no attention."""

FINDINGS: Mapping[str, tuple[str, str]] = {
    "database_unavailable": (
        f"A role of the database fails: {{}}. {WITHOUT_DATABASE}",
        "databaseerrorsalarm",
    ),
    "recoveries_paused": (
        "Recoveries that have paused by themselves: {}. Read why, then resume or cancel each.",
        "a-thousand-tasks-failed",
    ),
    "database": (
        "Differences between the database and what was installed in it: {}. `database` lists them.",
        "the-database-differs",
    ),
    "sweep_held": (
        (
            "The last sweep changed nothing: {}. Restore the rows; or, if they were removed on purpose, run "
            "`roadmap reconcile --accept-loss REASON`."
        ),
        "the-sweep-changes-nothing",
    ),
    "generation_stopped": ("{}. It goes on when an operator resumes it.", "stop-paying-for-the-model"),
    "time_zone": (
        (
            "The newest tasks were created {} hours in the future of the configured time zone. The product "
            "writes another zone: set DatabaseTimeZone."
        ),
        "the-time-zone-is-wrong",
    ),
    "stuck_tasks": (
        (
            "Tasks in processing without progress for half an hour: {}. The sweep records the outcome of "
            "runs that are over; read its log, and the queue."
        ),
        "a-task-stays-in-processing",
    ),
    "failure_groups": (
        (
            "Groups of failures that are new or have come back: {}. Acknowledge or ignore each, or start a "
            "recovery for it."
        ),
        "failure-groups",
    ),
    "queue_halted": (
        (
            "Attempts wait, and none is at work. Each sweep starts waiting attempts: read its log for what "
            "refuses them."
        ),
        "the-sweep-does-not-run",
    ),
    "sweep_overdue": (
        "No sweep has been recorded for 20 minutes. Read the log of ReconcileTaskFunction.",
        "the-sweep-does-not-run",
    ),
    "sweep_refused": (
        "Tasks that the last sweep could not reconcile: {}. Their ids are in its log.",
        "the-sweep-does-not-run",
    ),
    "outbox": ("Events that wait to be delivered: {}. The sweep delivers them.", "events-are-late"),
    "outbox_aside": (
        "Events that could not be sent and were set aside: {}. No consumer receives them.",
        "an-event-was-set-aside",
    ),
    "erasures_unfinished": (
        (
            "Erasures that have begun and were not repeated until they ended: {}. Nothing is started for "
            "their users: repeat `roadmap erase`."
        ),
        "an-erasure-is-unfinished",
    ),
}
"""The sentence of each finding, and its section in the runbook, in the order in which they are listed."""

REVISION = text("SELECT version_num FROM content_schema_version")

# The server reports a lock, such as that of a migration of the product, before the socket's time is up.
WAIT_BRIEFLY = text("SET LOCAL lock_timeout = '1s'")


def answer_health(services: Services, deadline: Deadline) -> Health:
    """The state of the system as the reader reads it, and whether the writer can write. Both are asked at
    once, because each may take the whole time.
    Raises RolesUnavailableError: the reader cannot read; the message has the fault of each role.
    """
    within, refusals = deadline.within(HEALTH_SECONDS), list[str]()

    def ask(fault: str, answer: Callable[[], T]) -> T | None:
        """The answer; `None` if the database refuses it, with the fault and its first time in `refusals`."""
        try:
            return answer()
        except DatabaseUnavailableError as error:
            refusals.append(f"the {fault}{error.since_when}: {error}")
        except DataRefusedError as error:
            refusals.append(f"the {fault}: {error}")
        return None

    subject = services.capabilities, services.settings.release_id
    with ThreadPoolExecutor(1) as other:
        writing = other.submit(transact, services.engine, require_write, within)
        health = ask(
            "reader cannot read", lambda: transact(services.reading_engine, read_health, within, *subject)
        )
        ask("writer cannot write", writing.result)
    attention = attention_for(unavailable="; ".join(refusals))
    if health is None:
        raise RolesUnavailableError(" ".join(each.text for each in attention))
    if not attention:
        return health
    return health.model_copy(update={"status": "attention", "attention": [*attention, *health.attention]})


def describe_activity(connection: Connection) -> Activity:
    return Activity(hours=[HourOfWork.model_validate(row._mapping) for row in read_activity(connection)])


def read_health(connection: Connection, capabilities: Sequence[Capability], release: str) -> Health:
    """The state of the system. If a table cannot be read, only the differences are known."""
    connection.execute(WAIT_BRIEFLY)
    differences = find_differences(connection)
    try:
        with connection.begin_nested():
            return _read(connection, capabilities, release, differences)
    except DBAPIError as error:
        sqlstate, reason = sqlstate_and_reason(error)
        if is_transient(sqlstate):
            raise
        kind = "privilege_missing" if sqlstate == INSUFFICIENT_PRIVILEGE else "not_readable"
        unnamed = DatabaseFinding(kind=kind, object="a table", message=reason)
        return _unknown(release, differences or [unnamed])


def _unknown(release: str, differences: Sequence[DatabaseFinding]) -> Health:
    """The health of a database that cannot be read: its differences, and zeros."""
    return Health(
        status="attention",
        stuck_tasks=0,
        drifted_tasks=0,
        last_sweep=None,
        outbox_waiting=0,
        outbox_aside=0,
        queue=QueueHealth(waiting=0, oldest_waiting_since=None, at_work=0, slots=0, stopped_reason=None),
        automatic=AutomaticAttempts(tasks=0, next_at=None),
        tokens_24h=0,
        tasks={},
        tasks_estimated=[],
        database=list(differences),
        schema_revision="",
        release=release,
        attention=attention_for(differences=len(differences)),
    )


def _read(
    connection: Connection,
    capabilities: Sequence[Capability],
    release: str,
    differences: Sequence[DatabaseFinding],
) -> Health:
    """Read everything but the differences. Raises DBAPIError: a table cannot be read."""
    sweep, capacity = last_sweep(connection), read_capacity(connection)
    has_old_attempts = sweep is None and claimed_before(connection, SWEEP_OVERDUE)
    stuck = count_stuck_tasks(connection, STUCK_AFTER, MOST_STUCK + 1)
    outbox, aside = count_unsent_events(connection, MOST_WAITING + 1)
    counts = count_by_status(connection)
    classes, now = queue_by_class(connection), datetime.now(UTC)
    waiting = waiting_tasks(capabilities)
    hooks = [capability.health for capability in capabilities if capability.health is not None]
    parts = [hook(connection, waiting) for hook in hooks]
    attention = attention_for(
        stuck=stuck,
        overdue=is_sweep_overdue(sweep, now, has_old_attempts=has_old_attempts),
        halted=is_queue_halted(classes, capacity, now),
        sweep=sweep,
        outbox=outbox,
        aside=aside,
        ahead=time_ahead(connection),
        stop=capacity.stop,
        differences=len(differences),
        of_capabilities=dict(part.attention for part in parts),
    )
    return Health(
        status="attention" if attention else "ok",
        stuck_tasks=min(stuck, MOST_STUCK),
        more_stuck_tasks=stuck > MOST_STUCK,
        drifted_tasks=0 if sweep is None else sweep.repaired,
        last_sweep=sweep and LastSweep.model_validate(sweep._asdict() | {"at": sweep.swept_at}),
        outbox_waiting=min(outbox, MOST_WAITING),
        more_outbox_waiting=outbox > MOST_WAITING,
        outbox_aside=aside,
        queue=_queue_health(classes, capacity),
        automatic=AutomaticAttempts.model_validate(planned_attempts(connection)),
        tokens_24h=tokens_of_a_day(connection),
        tasks={status: total.tasks for status, total in counts.items()},
        tasks_estimated=[status for status, total in counts.items() if not total.is_exact],
        database=list(differences),
        schema_revision=connection.scalar(REVISION) or "",
        release=release,
        attention=attention,
        **{name: value for part in parts for name, value in part.fields.items()},
    )


def _queue_health(classes: Sequence[ClassInQueue], capacity: Capacity) -> QueueHealth:
    oldest = [each.oldest_waiting_since for each in classes if each.oldest_waiting_since is not None]
    return QueueHealth(
        waiting=sum(each.waiting for each in classes),
        oldest_waiting_since=min(oldest, default=None),
        at_work=sum(each.at_work for each in classes),
        slots=capacity.slots,
        stopped_reason=capacity.stopped_reason,
    )


def is_sweep_overdue(sweep: Sweep | None, now: datetime, *, has_old_attempts: bool) -> bool:
    """Whether a sweep is overdue. `has_old_attempts`: an attempt is older than `SWEEP_OVERDUE`. No I/O."""
    if sweep is None:
        return has_old_attempts
    return now - sweep.swept_at > SWEEP_OVERDUE


def is_queue_halted(classes: Sequence[ClassInQueue], capacity: Capacity, now: datetime) -> bool:
    """Whether attempts have waited for long while none is at work and nobody holds them: an operator who has
    stopped generation, or paused a recovery. No I/O.
    """
    if capacity.stop is not None or any(each.at_work for each in classes):
        return False
    waiting_since = [
        totals.oldest_waiting_since
        for totals in classes
        if totals.queue_class is not QueueClass.BULK_PAUSED and totals.oldest_waiting_since is not None
    ]
    return bool(waiting_since) and now - min(waiting_since) > HALTED_AFTER


def _up_to(limit: int, count: int) -> int | str:
    """A count for a sentence, which was counted up to one more than a limit."""
    return f"more than {limit:,}" if count > limit else count


def attention_for(
    *,
    stuck: int = 0,
    overdue: bool = False,
    sweep: Sweep | None = None,
    outbox: int = 0,
    aside: int = 0,
    halted: bool = False,
    ahead: timedelta = timedelta(0),
    stop: GenerationStop | None = None,
    differences: int = 0,
    of_capabilities: Mapping[str, int] = MappingProxyType({}),
    unavailable: str = "",
) -> Sequence[Attention]:
    """The list of things that a person should check. No I/O.

    `halted`: attempts wait and none is at work. `ahead` is the time by which the newest tasks are ahead of
    the clock; `stop` the stop of generation; `differences` the number of findings about the database;
    `of_capabilities` has theirs; `unavailable` is the fault of a role.
    """
    # The results of an overdue sweep are old: that it is overdue is what a person should know.
    values = {
        "database_unavailable": unavailable,
        "database": differences,
        "sweep_held": sweep is not None and not overdue and sweep.held,
        "generation_stopped": stop,
        "time_zone": contradicts(ahead) and describe_offset(ahead),
        "stuck_tasks": _up_to(MOST_STUCK, stuck),
        "queue_halted": halted,
        "sweep_overdue": overdue,
        "sweep_refused": sweep is not None and not overdue and sweep.refused,
        "outbox": outbox > MOST_WAITING_AT_REST and _up_to(MOST_WAITING, outbox),
        "outbox_aside": aside,
        **of_capabilities,
    }
    return [
        Attention(what=name, text=sentence.format(values[name]), runbook=f"docs/runbook.md#{section}")
        for name, (sentence, section) in FINDINGS.items()
        if values.get(name)
    ]
