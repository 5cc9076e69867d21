"""`GET /api/v1/health`: whether a person must act. Reads stored sums, and counts with a limit."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, text

from ..contracts.api.queue import GenerationStop
from ..contracts.api.system import Attention, Health, LastSweep, QueueHealth, TokenSums
from ..contracts.states import RINGING_STATES
from ..contracts.times import utc
from ..platform.postgres.transactions import transact
from ..platform.runtime.deadline import Deadline
from ..runs.reconciliation.sweeps import Sweep, last_sweep
from ..state.failures.group_states import count_groups
from ..state.outbox import count_events_aside, count_waiting_events
from ..state.queue.capacity import Capacity, read_capacity
from ..state.queue.totals import queue_by_class
from ..state.services import Services
from ..state.tasks.attempt_reading import claimed_before
from ..state.tasks.counting import Total, count_by_status
from ..state.tasks.time_zone import contradicts, describe_offset, time_ahead
from ..state.tasks.token_counts import tokens_of_a_day
from ..state.tasks.unfinished import STUCK_AFTER, count_stuck_tasks

SWEEP_OVERDUE = timedelta(minutes=20)
"""The time without a sweep that counts as overdue. The schedule is every five minutes.

For a stack without any sweep, the time starts with its first attempt: a sweep is not overdue before that, nor
directly after the first deployment.
"""

MOST_STUCK = 100
"""Stuck tasks are counted up to this limit: each needs a look-up of its latest event."""

MOST_WAITING = 10_000
"""The number of waiting events is counted up to this limit."""

MOST_GROUPS = 1_000
"""Failure groups are counted up to this limit."""

REVISION = text("SELECT version_num FROM content_schema_version")


def read_health(services: Services, deadline: Deadline) -> Health:
    """Read the state of the system."""
    read = transact(services.reading_engine, _read, deadline)
    stuck = min(read["stuck"], MOST_STUCK)
    more_stuck = read["stuck"] > MOST_STUCK
    sweep: Sweep | None = read["sweep"]
    counts: Mapping[str, Total] = read["counts"]
    queue: QueueHealth = read["queue"]
    attention = attention_for(
        stuck=stuck,
        more_stuck=more_stuck,
        overdue=is_sweep_overdue(sweep, datetime.now(UTC), has_old_attempts=read["has_old_attempts"]),
        sweep=sweep,
        outbox=read["outbox"],
        aside=read["aside"],
        ahead=read["ahead"],
        stop=read["stop"],
        ringing=sum(read["groups"][state] for state in RINGING_STATES),
    )
    return Health(
        status="attention" if attention else "ok",
        stuck_tasks=stuck,
        more_stuck_tasks=more_stuck,
        drifted_tasks=0 if sweep is None else sweep.repaired,
        last_sweep=None
        if sweep is None
        else LastSweep(
            at=utc(sweep.swept_at),
            seconds=sweep.seconds,
            checked=sweep.checked,
            repaired=sweep.repaired,
            refused=sweep.refused,
            finished=sweep.finished,
        ),
        outbox_waiting=read["outbox"],
        outbox_aside=read["aside"],
        queue=queue,
        tokens=TokenSums(spent_24h=read["tokens"][0], saved_by_staging_24h=read["tokens"][1]),
        tasks={status: total.tasks for status, total in counts.items()},
        tasks_estimated=[status for status, total in counts.items() if not total.is_exact],
        recoveries_running=read["recoveries"],
        failure_groups=read["groups"],
        schema_revision=read["revision"],
        release=services.settings.release_id,
        attention=attention,
    )


def _read(connection: Connection) -> dict[str, Any]:
    sweep, capacity = last_sweep(connection), read_capacity(connection)
    return {
        "counts": count_by_status(connection),
        "stuck": count_stuck_tasks(connection, STUCK_AFTER, MOST_STUCK + 1),
        "sweep": sweep,
        "has_old_attempts": sweep is None and claimed_before(connection, SWEEP_OVERDUE),
        "tokens": tokens_of_a_day(connection),
        "revision": connection.execute(REVISION).scalar() or "",
        "outbox": count_waiting_events(connection, MOST_WAITING),
        "aside": count_events_aside(connection),
        "ahead": time_ahead(connection),
        "queue": _read_queue(connection, capacity),
        "stop": capacity.stop,
        "groups": count_groups(connection, MOST_GROUPS),
        "recoveries": connection.scalar(RUNNING_RECOVERIES) or 0,
    }


def _read_queue(connection: Connection, capacity: Capacity) -> QueueHealth:
    classes = queue_by_class(connection)
    oldest = [each.oldest_waiting_since for each in classes if each.oldest_waiting_since is not None]
    return QueueHealth(
        waiting=sum(each.waiting for each in classes),
        oldest_waiting_since=min(oldest, default=None),
        at_work=sum(each.at_work for each in classes),
        slots=capacity.slots,
        stopped_reason=capacity.stopped_reason,
    )


RUNNING_RECOVERIES = text("SELECT count(*) FROM content_recoveries WHERE ended_at IS NULL")


def is_sweep_overdue(sweep: Sweep | None, now: datetime, *, has_old_attempts: bool) -> bool:
    """Whether a sweep is overdue. `has_old_attempts`: an attempt is older than `SWEEP_OVERDUE`. No I/O."""
    if sweep is None:
        return has_old_attempts
    return now - utc(sweep.swept_at) > SWEEP_OVERDUE


def attention_for(
    *,
    stuck: int,
    overdue: bool,
    sweep: Sweep | None,
    outbox: int,
    aside: int,
    more_stuck: bool = False,
    ahead: timedelta = timedelta(0),
    stop: GenerationStop | None = None,
    ringing: int = 0,
) -> Sequence[Attention]:
    """The list of things that a person should check. No I/O.

    `more_stuck`: there are more stuck tasks than the number `stuck`. `ahead` is the time by which the newest
    tasks are ahead of the clock; `stop` the stop of generation; `ringing` the number of
    failure groups that are new or have come back.
    """
    found = []
    if stop is not None:
        found.append(
            Attention(
                what="generation_stopped",
                text=f"{stop}. It goes on when an operator resumes it.",
                runbook="docs/runbook.md#stop-paying-for-the-model",
            )
        )
    if contradicts(ahead):
        found.append(
            Attention(
                what="time_zone",
                text=f"The newest tasks were created {describe_offset(ahead)} hours in the future of the "
                "configured time zone. The product writes another zone: set DatabaseTimeZone.",
                runbook="docs/runbook.md#the-time-zone-is-wrong",
            )
        )
    if stuck:
        found.append(
            Attention(
                what="stuck_tasks",
                text=f"Tasks in processing without progress for half an hour: "
                f"{'more than ' if more_stuck else ''}{stuck}. "
                "The sweep records the outcome of runs that are over; read its log, and the queue.",
                runbook="docs/runbook.md#a-task-stays-in-processing",
            )
        )
    if ringing:
        found.append(
            Attention(
                what="failure_groups",
                text=f"Groups of failures that are new or have come back: {ringing}. "
                "Acknowledge or ignore each, or start a recovery for it.",
                runbook="docs/runbook.md#failure-groups",
            )
        )
    if overdue:
        found.append(
            Attention(
                what="sweep_overdue",
                text="No sweep has been recorded for 20 minutes. Read the log of ReconcileTaskFunction.",
                runbook="docs/runbook.md#the-sweep-does-not-run",
            )
        )
    elif sweep is not None and sweep.refused:
        found.append(
            Attention(
                what="sweep_refused",
                text=f"Tasks that the last sweep could not reconcile: {sweep.refused}. "
                "Their ids are in its log.",
                runbook="docs/runbook.md#the-sweep-does-not-run",
            )
        )
    if outbox > 1_000:
        found.append(
            Attention(
                what="outbox",
                text=f"Events that wait to be delivered: {outbox}. The sweep delivers them.",
                runbook="docs/runbook.md#events-are-late",
            )
        )
    if aside:
        found.append(
            Attention(
                what="outbox_aside",
                text=f"Events that could not be sent and were set aside: {aside}. No consumer receives them.",
                runbook="docs/runbook.md#an-event-was-set-aside",
            )
        )
    return found
