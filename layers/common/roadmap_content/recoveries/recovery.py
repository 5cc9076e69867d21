"""The tables `content_recoveries` and `content_recovery_tasks`."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from ..tasks.attempts import recovery_actor
from ..tasks.listing import Selection
from .decisions import Limits, Progress, RecoveryState, RunningTask, Settlement, TaskResult
from .errors import RecoveryStoppedError

INSERT = text("""
INSERT INTO content_recoveries
    (recovery_id, state, actor, reason, filter, rate_per_minute, concurrency, token_budget, canary, part,
    execution_arn)
VALUES (:recovery_id, 'waiting', :actor, :reason, CAST(:filter AS json), :rate_per_minute, :concurrency,
    :token_budget, :canary, 1, :execution_arn)
ON CONFLICT (recovery_id) DO NOTHING
""")

_COLUMNS = """
SELECT recovery_id, state, actor, reason, filter, rate_per_minute, concurrency, token_budget, canary,
    created_at, started_at, ended_at, stop_reason, part, execution_arn, next_start_at
FROM content_recoveries
"""

READ = text(f"{_COLUMNS} WHERE recovery_id = :recovery_id")

LOCK = text(f"{_COLUMNS} WHERE recovery_id = :recovery_id FOR UPDATE")

FIRST_PAGE = text(f"{_COLUMNS} ORDER BY created_at DESC, recovery_id DESC LIMIT :limit")

NEXT_PAGE = text(f"""
{_COLUMNS} WHERE (created_at, recovery_id) < (:created_at, :recovery_id)
ORDER BY created_at DESC, recovery_id DESC LIMIT :limit
""")

UNFINISHED = text(f"{_COLUMNS} WHERE ended_at IS NULL ORDER BY recovery_id LIMIT :limit")

WRITE = text("""
UPDATE content_recoveries SET
    state = :state, stop_reason = :stop_reason, next_start_at = :next_start_at, part = :part,
    execution_arn = :execution_arn,
    started_at = coalesce(started_at, timezone('utc', now())),
    ended_at = CASE WHEN :ended THEN coalesce(ended_at, timezone('utc', now())) END
WHERE recovery_id = :recovery_id
""")

COUNT = text("""
SELECT result, canary, count(*) AS tasks, coalesce(sum(tokens), 0) AS tokens,
    count(*) FILTER (WHERE same_failures) AS same, count(*) FILTER (WHERE attempt IS NOT NULL) AS attempted,
    count(*) FILTER (WHERE result = 'running' AND started_at IS NULL) AS unconfirmed
FROM content_recovery_tasks WHERE recovery_id = :recovery_id GROUP BY result, canary
""")

# Guarantees: returns the current state of each task; a deleted task is returned as one that does not exist.
RUNNING = text("""
SELECT r.task_id, r.attempt, coalesce(r.groups_before, '[]') AS groups_before,
    t.task_id IS NOT NULL AS exists, t.status, t.attempt AS task_attempt,
    coalesce(a.ended_at IS NOT NULL, false) AS ended, a.outcome,
    coalesce(a.tokens, 0) AS tokens, f.groups AS groups_after, f.top_reason
FROM content_recovery_tasks r
LEFT JOIN roadmap_tasks t ON t.task_id = r.task_id
LEFT JOIN content_attempts a ON a.task_id = r.task_id AND a.attempt = r.attempt
LEFT JOIN LATERAL (
    SELECT coalesce(json_agg(g.group_id), '[]') AS groups,
        (array_agg(concat(g.error_code, ': ', g.reason) ORDER BY g.items DESC, g.group_id))[1] AS top_reason
    FROM content_task_failures g WHERE g.task_id = r.task_id) AS f ON true
WHERE r.recovery_id = :recovery_id AND r.result = 'running' AND (r.started_at IS NOT NULL OR :unconfirmed)
ORDER BY r.position
""")

# The next tasks to start, with the attempt that this recovery may have claimed before a crash.
# `started_at` confirms a start.
WAITING = text("""
SELECT r.task_id, f.groups, a.attempt AS claimed_attempt, a.execution_arn,
    coalesce(a.attempt = t.attempt, false) AS is_latest, a.ended_at IS NOT NULL AS has_ended
FROM content_recovery_tasks r
LEFT JOIN roadmap_tasks t ON t.task_id = r.task_id
LEFT JOIN LATERAL (
    SELECT attempt, execution_arn, ended_at FROM content_attempts c
    WHERE c.task_id = r.task_id AND c.actor = :actor ORDER BY attempt DESC LIMIT 1) AS a ON true
LEFT JOIN LATERAL (
    SELECT coalesce(json_agg(g.group_id), '[]') AS groups
    FROM content_task_failures g WHERE g.task_id = r.task_id) AS f ON true
WHERE r.recovery_id = :recovery_id AND (r.canary OR NOT :canary)
    AND (r.result = 'waiting' OR r.result = 'running' AND r.started_at IS NULL)
ORDER BY r.position LIMIT :limit
""")

# In the transaction that claims the attempt: a recovery that was stopped before has refused the task, and
# one that is stopped later observes it.
CLAIM = text("""
UPDATE content_recovery_tasks SET
    result = 'running', attempt = :attempt, groups_before = CAST(:groups AS json)
WHERE recovery_id = :recovery_id AND task_id = :task_id
    AND (result = 'waiting' OR result = 'running' AND started_at IS NULL)
""")

START = text("""
UPDATE content_recovery_tasks SET
    result = :result, reason = :reason, attempt = :attempt, groups_before = CAST(:groups AS json),
    started_at = timezone('utc', now()),
    ended_at = CASE WHEN :result <> 'running' THEN timezone('utc', now()) END
WHERE recovery_id = :recovery_id AND task_id = :task_id
    AND (result = 'waiting' OR result = 'running' AND started_at IS NULL)
""")

SETTLE = text("""
UPDATE content_recovery_tasks r SET
    result = s.result, reason = s.reason, same_failures = s.same_failures, tokens = s.tokens,
    ended_at = timezone('utc', now())
FROM json_to_recordset(CAST(:settled AS json)) AS s(
    task_id text, result text, reason text, same_failures boolean, tokens bigint)
WHERE r.recovery_id = :recovery_id AND r.task_id = s.task_id AND r.result = 'running'
""")

REFUSE_WAITING = text("""
UPDATE content_recovery_tasks SET
    result = 'refused', reason = :reason, ended_at = timezone('utc', now())
WHERE recovery_id = :recovery_id AND result = 'waiting'
""")

TASKS = text("""
SELECT position, task_id, result, reason, attempt, started_at, ended_at, canary
FROM content_recovery_tasks
WHERE recovery_id = :recovery_id AND position > :after AND (:result = '' OR result = :result)
ORDER BY position LIMIT :limit
""")


class Recovery(NamedTuple):
    """One row of `content_recoveries`. Times are UTC without a zone."""

    recovery_id: str
    state: str
    actor: str
    reason: str
    filter: Mapping[str, Any]
    rate_per_minute: int
    concurrency: int
    token_budget: int | None
    canary: int
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    stop_reason: str | None
    part: int
    execution_arn: str
    next_start_at: datetime | None

    @property
    def limits(self) -> Limits:
        """The limits of the recovery."""
        return Limits(self.rate_per_minute, self.concurrency, self.token_budget, self.canary)


class Counts(NamedTuple):
    """The tasks of a recovery by result."""

    results: Mapping[TaskResult, int]
    tokens_used: int
    progress: Progress


class WaitingTask(NamedTuple):
    """A task that may be started now, with an attempt that may have been claimed for it."""

    task_id: str
    groups: Sequence[str]
    claimed_attempt: int | None
    execution_arn: str | None
    is_latest: bool
    """Whether the claimed attempt is the task's latest."""

    has_ended: bool


def insert_recovery(
    connection: Connection, recovery: Mapping[str, Any], task_filter: Mapping[str, Any]
) -> bool:
    """Insert a recovery without tasks; `False` if it exists."""
    parameters = {**recovery, "filter": json.dumps(task_filter, default=str)}
    return connection.execute(INSERT, parameters).rowcount == 1


def insert_tasks(
    connection: Connection, recovery_id: str, selection: Selection, canary: int, limit: int
) -> int:
    """Store the tasks that a filter selects now, oldest first, `limit` at most; return their number."""
    chosen = selection.sql(f"DISTINCT {selection.order}.task_id, {selection.order}.created_at")
    statement = f"""
INSERT INTO content_recovery_tasks (recovery_id, position, task_id, canary)
SELECT :recovery_id, place, task_id, place <= :canary
FROM (SELECT task_id, row_number() OVER (ORDER BY created_at, task_id) AS place
    FROM ({chosen} LIMIT :limit) AS c) AS p
"""
    parameters = {**selection.parameters, "recovery_id": recovery_id, "canary": canary, "limit": limit}
    return connection.execute(text(statement), parameters).rowcount


def read_recovery(connection: Connection, recovery_id: str, *, lock: bool = False) -> Recovery | None:
    """Read a recovery. With `lock`, its row is locked until the end of the transaction."""
    row = connection.execute(LOCK if lock else READ, {"recovery_id": recovery_id}).one_or_none()
    return None if row is None else Recovery(*row)


def read_recoveries(connection: Connection, after: tuple[datetime, str] | None, limit: int) -> list[Recovery]:
    """A page of recoveries, newest first."""
    if after is None:
        return [Recovery(*row) for row in connection.execute(FIRST_PAGE, {"limit": limit})]
    parameters = {"created_at": after[0], "recovery_id": after[1], "limit": limit}
    return [Recovery(*row) for row in connection.execute(NEXT_PAGE, parameters)]


def unfinished_recoveries(connection: Connection, limit: int) -> list[Recovery]:
    """The recoveries that have not ended."""
    return [Recovery(*row) for row in connection.execute(UNFINISHED, {"limit": limit})]


def write_recovery(
    connection: Connection,
    recovery: Recovery,
    *,
    state: str,
    stop_reason: str | None,
    next_start_at: datetime | None,
    ended: bool,
    part: int | None = None,
    execution_arn: str | None = None,
) -> None:
    """Write the state of a recovery, which must be locked."""
    connection.execute(
        WRITE,
        {
            "recovery_id": recovery.recovery_id,
            "state": state,
            "stop_reason": stop_reason,
            "next_start_at": next_start_at,
            "ended": ended,
            "part": part or recovery.part,
            "execution_arn": execution_arn or recovery.execution_arn,
        },
    )


def count_tasks(connection: Connection, recovery_id: str) -> Counts:
    """Count a recovery's tasks by result."""
    results = dict.fromkeys(TaskResult, 0)
    tokens = started = 0
    canary = dict.fromkeys(TaskResult, 0)
    canary_attempted = canary_same = unconfirmed = canary_unconfirmed = 0
    for row in connection.execute(COUNT, {"recovery_id": recovery_id}):
        result = TaskResult(row.result)
        results[result] += row.tasks
        tokens += int(row.tokens)
        ended = result not in (TaskResult.WAITING, TaskResult.RUNNING)
        started += row.attempted if ended else 0
        unconfirmed += row.unconfirmed
        if row.canary:
            canary_unconfirmed += row.unconfirmed
            canary[result] += row.tasks
            canary_attempted += row.attempted if ended else 0
            canary_same += row.same
    progress = Progress(
        waiting=results[TaskResult.WAITING],
        running=results[TaskResult.RUNNING],
        started=started,
        tokens_used=tokens,
        canary_waiting=canary[TaskResult.WAITING],
        canary_running=canary[TaskResult.RUNNING],
        canary_ended=canary_attempted,
        canary_same=canary_same,
        unconfirmed=unconfirmed,
        canary_unconfirmed=canary_unconfirmed,
    )
    return Counts(results, tokens, progress)


def running_tasks(connection: Connection, recovery_id: str, *, unconfirmed: bool) -> list[RunningTask]:
    """The started tasks without a result, with their current state in the tables.

    With `unconfirmed`, also those with a claimed attempt that may not be started.
    """
    parameters = {"recovery_id": recovery_id, "unconfirmed": unconfirmed}
    return [RunningTask(*row) for row in connection.execute(RUNNING, parameters)]


def waiting_tasks(
    connection: Connection, recovery_id: str, limit: int, *, canary_only: bool
) -> list[WaitingTask]:
    """The next tasks to be started."""
    parameters = {
        "recovery_id": recovery_id,
        "actor": recovery_actor(recovery_id),
        "canary": canary_only,
        "limit": limit,
    }
    return [WaitingTask(*row) for row in connection.execute(WAITING, parameters)]


def record_claim(connection: Connection, recovery_id: str, task: WaitingTask, attempt: int) -> None:
    """Record, in the transaction of the claim, that a task's attempt is this recovery's.

    Raises:
        RecoveryStoppedError: the recovery has refused the task meanwhile.
    """
    parameters = {
        "recovery_id": recovery_id,
        "task_id": task.task_id,
        "attempt": attempt,
        "groups": json.dumps(task.groups),
    }
    if connection.execute(CLAIM, parameters).rowcount == 0:
        raise RecoveryStoppedError(f"recovery {recovery_id} has been stopped")


def record_start(
    connection: Connection,
    recovery_id: str,
    task: WaitingTask,
    result: TaskResult,
    attempt: int | None,
    reason: str | None,
) -> None:
    """Record that a task was started, or the reason why it was not."""
    connection.execute(
        START,
        {
            "recovery_id": recovery_id,
            "task_id": task.task_id,
            "result": result,
            "attempt": attempt,
            "reason": reason,
            "groups": json.dumps(task.groups),
        },
    )


def record_settlements(connection: Connection, recovery_id: str, settled: Sequence[Settlement]) -> None:
    """Record the results of tasks that have ended."""
    if settled:
        rows = json.dumps([vars(settlement) for settlement in settled])
        connection.execute(SETTLE, {"recovery_id": recovery_id, "settled": rows})


def refuse_waiting(connection: Connection, recovery_id: str, reason: str) -> None:
    """Mark the tasks that were not started as refused."""
    connection.execute(REFUSE_WAITING, {"recovery_id": recovery_id, "reason": reason})


def read_tasks(
    connection: Connection, recovery_id: str, result: str | None, after: int, limit: int
) -> Sequence[Any]:
    """A page of a recovery's tasks after a position."""
    parameters = {"recovery_id": recovery_id, "result": result or "", "after": after, "limit": limit}
    return connection.execute(TASKS, parameters).all()


def start_state(recovery: Recovery) -> RecoveryState:
    """The state to which a paused recovery returns."""
    if recovery.started_at is None:
        return RecoveryState.WAITING
    return RecoveryState.CANARY if recovery.canary else RecoveryState.RUNNING
