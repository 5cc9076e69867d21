"""The table `content_recovery_tasks`: the tasks of each recovery, and their results."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from ...contracts.documents import storable_json
from ...contracts.states import RecoveryState, TaskResult
from .decisions import Progress, RunningTask, Settlement, interval, may_start
from .errors import RecoveryStoppedError
from .recovery import add_tokens, read_recovery, write_recovery

# Counts a recovery's tasks by result, and those of each result that had an attempt of this recovery.
COUNT = text("""
SELECT result, count(*) AS tasks, count(*) FILTER (WHERE attempt IS NOT NULL) AS attempted
FROM content_recovery_tasks WHERE recovery_id = :recovery_id GROUP BY result
""")

# Counts what `Progress` needs. The cost does not depend on the number of tasks, because each claim asks: of
# the waiting ones it counts no more than the concurrency, which is all that can start; the canary is found by
# its positions, the first ones.
PROGRESS = text("""
SELECT (SELECT count(*) FROM (SELECT FROM content_recovery_tasks
        WHERE recovery_id = c.recovery_id AND result = 'waiting'
        ORDER BY position LIMIT c.concurrency) AS startable) AS waiting,
    (SELECT count(*) FROM content_recovery_tasks
        WHERE recovery_id = c.recovery_id AND result = 'running') AS running,
    (SELECT coalesce(bool_or(result <> 'waiting'), false) FROM content_recovery_tasks
        WHERE recovery_id = c.recovery_id AND position = c.canary + 1) AS others_started,
    c.tokens_used, c.paid, canary.*
FROM content_recoveries c CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE result = 'waiting') AS canary_waiting,
        count(*) FILTER (WHERE result = 'running') AS canary_running,
        count(*) FILTER (WHERE result <> 'running' AND attempt IS NOT NULL) AS canary_ended,
        count(*) FILTER (WHERE result = 'still_failing') AS canary_failed
    FROM content_recovery_tasks WHERE recovery_id = c.recovery_id AND position <= c.canary) AS canary
WHERE c.recovery_id = :recovery_id
""")

# Whether the recovery `c` is about a current failure `f` of its task `r`: it has the recovery's cause (what
# the filter leaves out may be anything), or it came with the recovery's attempt.
_OF_RECOVERY = """(c.filter ->> 'all_missing' IS NOT NULL OR f.first_seen >= r.started_at OR (
    f.group_id = coalesce(c.filter ->> 'group_id', f.group_id)
    AND f.error_code = coalesce(c.filter ->> 'error_code', f.error_code)
    AND f.content_type = coalesce(c.filter ->> 'content_type', f.content_type)))"""

# Finds the tasks at which the breaker looks, the last ended first, each with its failure groups: their texts
# by id, the largest first. Not the canary, which is judged by itself; nor tasks without an attempt, or that
# were started before the last resume: they paused the recovery and would do so again. A regeneration has no
# groups here: its failures are not the task's current ones. The index has only rows with `ended_at`.
LAST_ENDED = text(f"""
SELECT r.result, coalesce((
    SELECT json_object_agg(
        f.group_id, concat(f.error_code, ': ', f.reason) ORDER BY f.items DESC, f.group_id)
    FROM content_task_failures f
    WHERE f.task_id = r.task_id AND r.items IS NULL AND {_OF_RECOVERY}), '{{}}') AS groups
FROM content_recovery_tasks r JOIN content_recoveries c USING (recovery_id)
WHERE recovery_id = :recovery_id AND NOT r.canary AND r.result IN ('recovered', 'still_failing')
    AND r.attempt IS NOT NULL AND r.ended_at IS NOT NULL
    AND (c.resumed_at IS NULL OR r.started_at >= c.resumed_at)
ORDER BY r.ended_at DESC, r.position DESC LIMIT :breaker
""")

# Finds the started tasks as `RunningTask`s; a deleted task is one that does not exist. An attempt has ended
# when it has counts: the sweep counts superseded ones. An attempt with a scope is judged by its own items,
# and a regeneration by the failures of its own attempt. In another life of the task, another attempt may have
# its number, but not the time of its claim. An attempt whose row was replaced so is over; if it was that of a
# regeneration, none of its items is known to be saved (1: some are not).
RUNNING = text(f"""
SELECT r.task_id, t.task_id IS NOT NULL AS exists, t.status,
    a.task_id IS NULL OR a.saved IS NOT NULL AS ended, a.outcome,
    coalesce(a.tokens, 0) AS tokens, coalesce(regeneration.top_reason, current.top_reason),
    CASE WHEN a.scope IS NOT NULL THEN coalesce((
        SELECT sum(CAST(p.value AS integer) - coalesce(CAST(a.saved ->> p.key AS integer), 0))
        FROM json_each_text(a.planned) p), 0)
        WHEN a.task_id IS NULL AND r.items IS NOT NULL THEN 1 END AS unsaved
FROM content_recovery_tasks r JOIN content_recoveries c USING (recovery_id)
LEFT JOIN roadmap_tasks t ON t.task_id = r.task_id
LEFT JOIN content_attempts a
    ON a.task_id = r.task_id AND a.attempt = r.attempt AND a.claimed_at = r.started_at
LEFT JOIN LATERAL (
    SELECT concat(f.error_code, ': ', f.reason) AS top_reason
    FROM content_task_failures f WHERE f.task_id = r.task_id AND {_OF_RECOVERY}
    ORDER BY f.items DESC, f.group_id LIMIT 1) AS current ON true
LEFT JOIN LATERAL (
    SELECT concat(e.error_code, ': ', e.reason) AS top_reason FROM content_failures e
    WHERE r.items IS NOT NULL AND e.task_id = a.task_id AND e.attempt = a.attempt
    GROUP BY e.error_code, e.reason ORDER BY count(*) DESC, 1 LIMIT 1) AS regeneration ON true
WHERE recovery_id = :recovery_id AND r.result = 'running' ORDER BY r.position
""")

# Finds the next tasks to start; with `:canary`, only those of the canary.
WAITING = text("""
SELECT r.task_id, t.status, t.attempt, r.items
FROM content_recovery_tasks r
LEFT JOIN roadmap_tasks t ON t.task_id = r.task_id
WHERE r.recovery_id = :recovery_id AND (r.canary OR NOT :canary) AND r.result = 'waiting'
ORDER BY r.position LIMIT :limit
""")

# Records a claimed attempt, in the transaction of the claim; with `:canary`, only of a task of the canary. 0
# rows: the task does not wait any more, or must wait for the end of the canary.
CLAIM = text("""
UPDATE content_recovery_tasks SET
    result = 'running', attempt = :attempt, started_at = now()
WHERE recovery_id = :recovery_id AND task_id = :task_id AND result = 'waiting' AND (canary OR NOT :canary)
""")

# Records the result of a task for which no attempt was claimed.
END = text("""
UPDATE content_recovery_tasks SET
    result = :result, reason = :reason, ended_at = now()
WHERE recovery_id = :recovery_id AND task_id = :task_id AND result = 'waiting'
""")

# Records the results of tasks that were running; returns their tokens, and the number of those that used any.
# Guarantees: each is counted once, because it is not running afterwards.
SETTLE = text("""
WITH settled AS (
    UPDATE content_recovery_tasks r SET
        result = s.result, reason = s.reason, tokens = s.tokens, ended_at = now()
    FROM json_to_recordset(CAST(:settled AS json)) AS s(
        task_id text, result text, reason text, tokens bigint)
    WHERE r.recovery_id = :recovery_id AND r.task_id = s.task_id AND r.result = 'running' RETURNING r.tokens
)
SELECT coalesce(sum(tokens), 0) AS tokens, count(*) FILTER (WHERE tokens > 0) AS paid FROM settled
""")

# Refuses the tasks that a stopped recovery does not start.
REFUSE_WAITING = text("""
UPDATE content_recovery_tasks SET
    result = 'refused', reason = :reason, ended_at = now()
WHERE recovery_id = :recovery_id AND result = 'waiting'
""")

# Finds a page of a recovery's tasks; with `:result`, only those with this result.
TASKS = text("""
SELECT position, task_id, result, reason, attempt, started_at, ended_at, canary, undone,
    (SELECT m.title FROM roadmap_tasks t JOIN roadmap_metadata m USING (roadmap_id)
        WHERE t.task_id = r.task_id) AS title
FROM content_recovery_tasks r
WHERE recovery_id = :recovery_id AND position > :after AND (:result = '' OR result = :result)
ORDER BY position LIMIT :limit
""")

# Finds the regenerated tasks that are not undone completely. Those with items that were left alone come last:
# the undo of a later regeneration may since have restored what this one wrote.
TO_UNDO = text("""
SELECT r.task_id, r.attempt, r.started_at, r.items FROM content_recovery_tasks r
WHERE r.recovery_id = :recovery_id AND r.items IS NOT NULL AND r.attempt IS NOT NULL
    AND (r.undone IS NULL OR json_array_length(r.undone -> 'left_alone') > 0)
ORDER BY r.undone IS NOT NULL, r.position
""")

# Records the `TaskUndo` of a task.
RECORD_UNDONE = text("""
UPDATE content_recovery_tasks SET undone = CAST(:report AS json)
WHERE recovery_id = :recovery_id AND task_id = :task_id
""")

# Sums up the undo of all regenerated tasks: `UndoCounts`.
UNDONE = text("""
SELECT count(*) FILTER (WHERE undone IS NULL) AS tasks_left,
    coalesce(sum(CAST(undone ->> 'restored' AS integer)), 0) AS restored,
    coalesce(sum(CAST(undone ->> 'not_replaced' AS integer)), 0) AS not_replaced,
    coalesce(sum(json_array_length(undone -> 'left_alone')), 0) AS left_alone
FROM content_recovery_tasks
WHERE recovery_id = :recovery_id AND items IS NOT NULL AND attempt IS NOT NULL
""")

# Finds the times at which tasks ended, each with the number of tasks ended by then: the last one, and `:most`
# at most besides: the first and each n-th after it (n is the number of all by `:most`, rounded up).
ENDS = text("""
SELECT ended_at, number FROM (
    SELECT ended_at, row_number() OVER (ORDER BY ended_at) AS number, count(*) OVER () AS total
    FROM content_recovery_tasks WHERE recovery_id = :recovery_id AND ended_at IS NOT NULL) AS ends
WHERE number = total OR mod(number - 1, (total + :most - 1) / :most) = 0
ORDER BY number
""")

# Counts the tasks that have ended since two times.
COUNT_ENDED = text("""
SELECT count(*) AS ended, count(*) FILTER (WHERE ended_at > :middle) AS lately FROM content_recovery_tasks
WHERE recovery_id = :recovery_id AND ended_at > :since
""")

# Finds the attempts that a recovery (an actor) has claimed and that still wait in the queue.
WAITING_OF_ACTOR = text("""
SELECT q.task_id, q.attempt FROM content_queue q JOIN content_attempts a USING (task_id, attempt)
WHERE a.actor = :actor AND q.state = 'waiting'
""")


class Counts(NamedTuple):
    """The tasks of a recovery."""

    by_result: Mapping[str, int]
    """By `TaskResult`, and their `total`."""

    attempted: int
    """Tasks with an attempt of this recovery."""


class Chosen(NamedTuple):
    """The tasks that a new recovery is for, as SQL."""

    sql: str
    """Selects `task_id`, `created_at` and `items`: those to regenerate, with their revisions, or NULL."""

    parameters: Mapping[str, Any]


class WaitingTask(NamedTuple):
    """A task that may be started now."""

    task_id: str
    status: str | None
    attempt: int | None
    """0: it was never attempted. `None`, as for `status`: it has been deleted."""

    items: Mapping[str, Mapping[str, str]] | None
    """The items to regenerate with the revisions to replace; `None`: missing items are retried."""


def insert_tasks(connection: Connection, recovery_id: str, chosen: Chosen, canary: int, limit: int) -> int:
    """Store the tasks that are chosen now, oldest first; return their number. The first `canary` of them are
    the canary. `limit` is one more than a recovery may have: the caller then refuses, whichever are stored.
    """
    statement = f"""
INSERT INTO content_recovery_tasks (recovery_id, position, task_id, canary, items)
SELECT :recovery_id, place, task_id, place <= :canary, items
FROM (SELECT task_id, items, row_number() OVER (ORDER BY created_at, task_id) AS place
    FROM ({chosen.sql} LIMIT :limit) AS c) AS p
"""
    parameters = {**chosen.parameters, "recovery_id": recovery_id, "canary": canary, "limit": limit}
    return connection.execute(text(statement), parameters).rowcount


def read_tasks_to_undo(connection: Connection, recovery_id: str) -> Sequence[Any]:
    """The tasks that a recovery has regenerated, without those that are undone completely."""
    return connection.execute(TO_UNDO, {"recovery_id": recovery_id}).all()


def record_undone(connection: Connection, recovery_id: str, task_id: str, report: Mapping[str, Any]) -> None:
    parameters = {"recovery_id": recovery_id, "task_id": task_id, "report": storable_json(report)}
    connection.execute(RECORD_UNDONE, parameters)


def count_undone(connection: Connection, recovery_id: str) -> dict[str, Any]:
    return connection.execute(UNDONE, {"recovery_id": recovery_id}).one()._asdict()


def count_tasks(connection: Connection, recovery_id: str) -> Counts:
    """Count a recovery's tasks by result. Reads all of them."""
    rows = connection.execute(COUNT, {"recovery_id": recovery_id}).all()
    by_result = dict.fromkeys(map(str, TaskResult), 0) | {row.result: row.tasks for row in rows}
    total = sum(by_result.values())
    return Counts({"total": total, **by_result}, sum(row.attempted for row in rows))


def read_ends(connection: Connection, recovery_id: str, most: int) -> Sequence[tuple[datetime, int]]:
    """Times at which tasks of a recovery ended, in order, each with the number of tasks that had ended."""
    return [
        (row.ended_at, row.number)
        for row in connection.execute(ENDS, {"recovery_id": recovery_id, "most": most})
    ]


def count_ended(
    connection: Connection, recovery_id: str, since: datetime, middle: datetime
) -> tuple[int, int]:
    """The numbers of tasks that have ended after `since`, and of those that have ended after `middle`."""
    times = {"recovery_id": recovery_id, "since": since, "middle": middle}
    row = connection.execute(COUNT_ENDED, times).one()
    return row.ended, row.lately


def read_progress(connection: Connection, recovery_id: str, breaker: int = 0) -> Progress:
    """The progress of a recovery. `breaker` is the number of last ended tasks to look at."""
    last: Sequence[Any] = []
    if breaker:
        last = connection.execute(LAST_ENDED, {"recovery_id": recovery_id, "breaker": breaker}).all()
    row = connection.execute(PROGRESS, {"recovery_id": recovery_id}).one()
    failed = [row.groups for row in last if row.result == TaskResult.STILL_FAILING]
    return Progress(**row._mapping, last_ended=len(last), last_failed=failed)


def running_tasks(connection: Connection, recovery_id: str) -> list[RunningTask]:
    """The started tasks without a result, with their current state in the tables."""
    return [RunningTask(*row) for row in connection.execute(RUNNING, {"recovery_id": recovery_id})]


def waiting_tasks(
    connection: Connection, recovery_id: str, limit: int, *, canary_only: bool
) -> list[WaitingTask]:
    """The next tasks of a recovery to start, `limit` at most."""
    parameters = {"recovery_id": recovery_id, "canary": canary_only, "limit": limit}
    return [WaitingTask(*row) for row in connection.execute(WAITING, parameters)]


def claim_task(connection: Connection, recovery_id: str, task: WaitingTask, attempt: int) -> None:
    """Record an attempt of a task as this recovery's, in the transaction that claims the attempt. The
    recovery is locked and its limits are checked here, so that a pause, a cancellation or a limit that was
    reached meanwhile is obeyed by the next claim.
    Raises RecoveryStoppedError: the recovery may not start this task now.
    """
    recovery = read_recovery(connection, recovery_id, lock=True)
    state = RecoveryState(recovery.state)
    progress = read_progress(connection, recovery_id)
    starts = may_start(state, recovery, progress, recovery.next_start_at, recovery.now)
    parameters = {
        "recovery_id": recovery_id,
        "task_id": task.task_id,
        "attempt": attempt,
        "canary": state is RecoveryState.CANARY,
    }
    claimed = connection.execute(CLAIM, parameters).rowcount if starts.number else 0
    if not claimed:
        raise RecoveryStoppedError(f"recovery {recovery_id} is {state} and starts no task now")
    write_recovery(connection, recovery, state=state, next_start_at=starts.first_at + interval(recovery))


def end_task(
    connection: Connection, recovery_id: str, task: WaitingTask, result: TaskResult, reason: str
) -> None:
    """Record the result of a task for which no attempt was claimed."""
    parameters = {"recovery_id": recovery_id, "task_id": task.task_id, "result": result, "reason": reason}
    connection.execute(END, parameters)


def record_settlements(connection: Connection, recovery_id: str, settled: Sequence[Settlement]) -> None:
    """Record the results of tasks that were running, and count their tokens once."""
    if settled:
        rows = storable_json([vars(settlement) for settlement in settled])
        spent = connection.execute(SETTLE, {"recovery_id": recovery_id, "settled": rows}).one()
        if spent.paid:
            add_tokens(connection, recovery_id, spent.tokens, spent.paid)


def refuse_waiting(connection: Connection, recovery_id: str, reason: str) -> None:
    connection.execute(REFUSE_WAITING, {"recovery_id": recovery_id, "reason": reason})


def read_tasks(
    connection: Connection, recovery_id: str, result: str | None, after: int, limit: int
) -> Sequence[Any]:
    """A page of a recovery's tasks after a position; with `result`, of those with this result."""
    parameters = {"recovery_id": recovery_id, "result": result or "", "after": after, "limit": limit}
    return connection.execute(TASKS, parameters).all()


def waiting_attempts(connection: Connection, actor: str) -> Sequence[tuple[str, int]]:
    """The waiting attempts that an actor has claimed, with their tasks."""
    return [(row.task_id, row.attempt) for row in connection.execute(WAITING_OF_ACTOR, {"actor": actor})]
