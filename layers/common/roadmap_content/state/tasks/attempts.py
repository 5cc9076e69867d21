"""The audit trail of attempts: `content_attempts`.

A row is inserted in the transaction of the claim, and completed in the transaction that records the outcome.
planned = saved + failed, for each content type; in a cancelled attempt the others were not started. An
attempt that has no outcome when the next one is claimed is superseded: the claim ends it, and the sweep
counts it. Its scope is the items that it plans; `replaces` has the rows that these replace; `next_at` is when
the attempt after the task's latest one begins without a request.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from ...contracts.items import ContentType, Item
from ...contracts.states import Cause
from .listing import HAS_ROADMAP
from .scope import NO_ITEM, WHOLE_TASK, Scope, decode_revisions, encode_revisions, scope_from

CONSOLE, AUTOMATIC = "console", "auto"
"""Actors other than users and recoveries. `console` is an execution that was started or redriven without a
token: in the AWS console, with the AWS CLI, or by a product's `Client.start`.
"""


class AttemptStart(NamedTuple):
    """The start of an attempt: actor, cause, reason and scope."""

    actor: str
    """`user:<sub>`, `operator:<sub>`, `console`, `auto` or `recovery:<id>`."""

    cause: Cause
    reason: str | None = None
    scope: Scope = WHOLE_TASK
    on_claim: Callable[[Connection, int], None] | None = None
    """Called with the attempt in the transaction that claims it. If it raises, nothing is claimed."""

    tenant: str | None = None
    """The tenant that shares the capacity with others; without one, the task's user does."""


def user_start(user_id: str, reason: str | None = None) -> AttemptStart:
    return AttemptStart(f"user:{user_id}", Cause.RETRY, reason)


# The parts of a statement that insert an attempt's row; the parameters are those of `NewAttempt`. Guarantees:
# it is the task's last row. Those from its number on are of an earlier life of the task, or from before the
# product has restored the task's row alone: they go first, with their entries in the queue (by the foreign
# key). The open attempt before it ends first, because a unique index permits one. No attempt is planned after
# it any more.
OPENED = """forgotten_attempts AS (
    DELETE FROM content_attempts WHERE task_id = :task_id AND attempt >= :attempt RETURNING attempt
),
superseded_attempts AS (
    UPDATE content_attempts SET step = 'ended', ended_at = now(), outcome = CASE
        WHEN outcome = 'cancelled' OR CAST(:was_cancelled AS boolean) THEN 'cancelled' ELSE 'superseded' END
    WHERE task_id = :task_id AND attempt < :attempt AND ended_at IS NULL
    RETURNING attempt
),
forgotten_plans AS (
    UPDATE content_attempts SET next_at = NULL
    WHERE task_id = :task_id AND attempt < :attempt AND next_at IS NOT NULL
),
opened AS (
    INSERT INTO content_attempts (task_id, attempt, actor, cause, reason, execution_arn, redrive_count, step,
        scope, user_id, roadmap_id)
    SELECT :task_id, :attempt, :actor, :cause, :reason, :execution_arn, :redrive_count, 'claimed',
        CAST(:scope AS json), (SELECT user_id FROM roadmap_tasks WHERE task_id = :task_id),
        (SELECT roadmap_id FROM roadmap_tasks WHERE task_id = :task_id)
    FROM (SELECT count(*) FROM forgotten_attempts) AS after_forgetting,
        (SELECT count(*) FROM superseded_attempts) AS after_the_end_of_the_one_before
    RETURNING attempt
)"""

LOCK_ALL = text("SELECT FROM content_attempts WHERE task_id = :task_id FOR UPDATE")

# Plans the attempt after one that has ended. Guarantees: a repeated end does not move it.
PLAN_NEXT = text("""
UPDATE content_attempts SET next_at = coalesce(next_at, now() + make_interval(secs => :pause))
WHERE task_id = :task_id AND attempt = :attempt
RETURNING next_at
""")

# Moves a planned attempt, unless a claim has forgotten it.
POSTPONE = text("""
UPDATE content_attempts SET next_at = now() + make_interval(secs => :pause)
WHERE task_id = :task_id AND attempt = :attempt AND next_at IS NOT NULL
""")

FORGET_NEXT = text("""
UPDATE content_attempts SET next_at = NULL
WHERE task_id = :task_id AND attempt = :attempt AND next_at IS NOT NULL
""")

FORGET_ALL_NEXT = text("UPDATE content_attempts SET next_at = NULL WHERE next_at IS NOT NULL")

# Counts the planned attempts that a sweep will start: none of a deleted roadmap.
COUNT_NEXT = text(f"""
SELECT count(*) AS tasks, min(a.next_at) AS next_at
FROM content_attempts a JOIN roadmap_tasks t USING (task_id) WHERE a.next_at IS NOT NULL AND {HAS_ROADMAP}
""")

# Reads attempts that were superseded or cancelled, and are not counted yet. Those of deleted tasks stay so.
UNCOUNTED = text("""
SELECT a.task_id, a.attempt, a.outcome FROM content_attempts a JOIN roadmap_tasks t USING (task_id)
WHERE a.ended_at IS NOT NULL AND a.saved IS NULL LIMIT :limit
""")

# Records an attempt's plan. The first plan counts: a repeated plan after a crash may contain fewer items.
RECORD_PLAN = text("""
UPDATE content_attempts SET step = 'working', planned = coalesce(planned, CAST(:planned AS json)),
    replaces = coalesce(replaces, CAST(:replaces AS json))
WHERE task_id = :task_id AND attempt = :attempt AND ended_at IS NULL
""")

# Adds to the numbers of generated items. Guarantees: once, even if the COMMIT of `earlier` got no response.
# If that transaction is still running, PostgreSQL waits for the row and evaluates the condition again.
ADD_GENERATED = text("""
UPDATE content_attempts SET generated = (
    SELECT json_object_agg(
        c.type, coalesce(CAST(generated ->> c.type AS integer), 0) + CAST(c.more AS integer))
    FROM json_each_text(CAST(:counts AS json)) AS c(type, more))
WHERE task_id = :task_id AND attempt = :attempt
    AND pg_xact_status(CAST(CAST(:earlier AS text) AS xid8)) IS DISTINCT FROM 'committed'
RETURNING CAST(pg_current_xact_id() AS text)
""")

# Reads and locks an attempt to record its outcome. Its tokens are those of the task minus those of its other
# attempts, because Generate counts by task.
READ_FOR_OUTCOME = text("""
SELECT planned, generated, tokens AS tokens_before,
    greatest(0, coalesce((SELECT tokens FROM generation_tokens WHERE task_id = a.task_id), 0)
        - (SELECT coalesce(sum(tokens), 0) FROM content_attempts o
            WHERE o.task_id = a.task_id AND o.attempt <> a.attempt)) AS tokens,
    (SELECT status FROM roadmap_tasks WHERE task_id = a.task_id) AS status
FROM content_attempts a WHERE task_id = :task_id AND attempt = :attempt FOR UPDATE
""")

# Cancels an attempt before its end is recorded: Generate and Save start nothing more for it.
CANCEL = text("""
UPDATE content_attempts SET outcome = 'cancelled'
WHERE task_id = :task_id AND attempt = :attempt AND ended_at IS NULL
""")

# Writes an attempt's end, or its counts again. A cancelled attempt stays cancelled, although its task may be
# completed.
CLOSE = text("""
UPDATE content_attempts SET
    step = 'ended', outcome = CASE outcome WHEN 'cancelled' THEN outcome ELSE :outcome END,
    ended_at = coalesce(ended_at, now()),
    planned = CAST(:planned AS json), saved = CAST(:saved AS json), failed = CAST(:failed AS json),
    generated = CAST(:generated AS json), tokens = :tokens
WHERE task_id = :task_id AND attempt = :attempt
""")

# Ends the open attempts of deleted tasks, which nothing else ends. Their counts stay unknown.
END_OF_DELETED_TASKS = text("""
UPDATE content_attempts a SET step = 'ended', outcome = 'cancelled', ended_at = now()
WHERE ended_at IS NULL
    AND NOT EXISTS (SELECT FROM roadmap_tasks t WHERE t.task_id = a.task_id)
""")

# Adds an attempt's tokens to the hour. To one of sixteen rows, so that attempts that end together do not wait
# for each other.
COUNT_TOKENS = text("""
INSERT INTO content_token_hours AS known (hour, shard, spent)
VALUES (date_trunc('hour', now(), 'UTC'), mod(abs(CAST(hashtext(:task_id) AS bigint)), 16), :spent)
ON CONFLICT (hour, shard) DO UPDATE SET spent = known.spent + excluded.spent
""")

# Sums the tokens of the last 24 hours.
TOKENS_OF_A_DAY = text("""
SELECT coalesce(sum(spent), 0) FROM content_token_hours
WHERE hour > now() - interval '24 hours'
""")

# Reads the items that an attempt plans and replaces. Until its end is recorded, it is cancelled with its
# task. It is withdrawn if it was cancelled before its plan.
SCOPE = text("""
SELECT a.scope, a.replaces, coalesce(a.outcome, t.status) = 'cancelled' AS is_cancelled,
    coalesce(a.outcome = 'cancelled' AND a.step = 'claimed', false) AS is_withdrawn
FROM roadmap_tasks t LEFT JOIN content_attempts a ON a.task_id = t.task_id AND a.attempt = :attempt
WHERE t.task_id = :task_id
""")

INSTRUCTION = text(
    "SELECT scope ->> 'instruction' FROM content_attempts WHERE task_id = :task_id AND attempt = :attempt"
)

HAS_EXECUTION = text("""
SELECT EXISTS (SELECT FROM content_attempts
    WHERE task_id = :task_id AND attempt = :attempt AND execution_arn = :execution_arn)
""")

GENERATED = text("SELECT generated FROM content_attempts WHERE task_id = :task_id AND attempt = :attempt")


class NewAttempt(NamedTuple):
    """An attempt at its claim."""

    task_id: str
    attempt: int
    execution_arn: str | None
    start: AttemptStart
    redrive_count: int = 0
    was_cancelled: bool = False
    """Whether the claim has lifted the task's cancellation."""

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of `OPENED`."""
        parameters = self._asdict()
        start = parameters.pop("start")
        by = {"actor": start.actor, "cause": start.cause, "reason": start.reason}
        return parameters | by | {"scope": _encoded(start.scope.document)}


def record_plan(
    connection: Connection,
    task_id: str,
    attempt: int,
    planned: Mapping[ContentType, int],
    replaces: Mapping[Item, str],
) -> None:
    """Record the numbers of planned items of an attempt, and the ids of the rows to replace."""
    plan = {"planned": json.dumps(planned), "replaces": _encoded(encode_revisions(replaces) or None)}
    connection.execute(RECORD_PLAN, {"task_id": task_id, "attempt": attempt, **plan})


def _encoded(document: Mapping[Any, Any] | None) -> str | None:
    return None if document is None else json.dumps(document)


class AttemptScope(NamedTuple):
    """The items that an attempt plans and replaces."""

    scope: Scope
    replaces: Mapping[Item, str]
    """The ids of the rows to replace."""

    is_cancelled: bool
    """Whether the attempt, or its task, is cancelled."""


def read_scope(connection: Connection, task_id: str, attempt: int) -> AttemptScope:
    """The scope of an attempt of an existing task. An attempt that was cancelled before its plan has no item;
    a task that was never claimed has all.
    """
    row = connection.execute(SCOPE, {"task_id": task_id, "attempt": attempt}).one()
    if row.is_withdrawn:
        return AttemptScope(NO_ITEM, {}, row.is_cancelled)
    return AttemptScope(scope_from(row.scope), decode_revisions(row.replaces or {}), row.is_cancelled)


def read_instruction(connection: Connection, task_id: str, attempt: int) -> str | None:
    """How an attempt changes what it replaces, if it was asked to."""
    instruction: str | None = connection.scalar(INSTRUCTION, {"task_id": task_id, "attempt": attempt})
    return instruction


def add_generated(
    connection: Connection, task_id: str, attempt: int, counts: Mapping[ContentType, int], earlier: str | None
) -> str | None:
    """Add to the numbers of generated items of an attempt; return the id of the transaction.

    `counts` has all content types. `earlier` is the id that an earlier try returned. If that try's COMMIT
    succeeded, nothing is added.
    """
    transaction_id: str | None = connection.scalar(
        ADD_GENERATED,
        {"task_id": task_id, "attempt": attempt, "counts": json.dumps(counts), "earlier": earlier},
    )
    return transaction_id


def generated_by(connection: Connection, task_id: str, attempt: int) -> Mapping[ContentType, int]:
    """The numbers of items that an attempt has generated, because they were not staged."""
    counts = connection.scalar(GENERATED, {"task_id": task_id, "attempt": attempt}) or {}
    return {content_type: int(counts.get(content_type, 0)) for content_type in ContentType}


def lock_attempts(connection: Connection, task_id: str) -> None:
    """Lock the attempts of a task."""
    connection.execute(LOCK_ALL, {"task_id": task_id})


class PlannedAttempt(NamedTuple):
    """An attempt that begins without a request."""

    task_id: str
    attempt: int
    """The attempt after which it was planned."""


def plan_next_attempt(
    connection: Connection, task_id: str, attempt: int, pause: timedelta
) -> datetime | None:
    """Plan the attempt after this one, and return when it begins; one that was planned before stays. `None`
    if this attempt was never claimed.
    """
    parameters = {"task_id": task_id, "attempt": attempt, "pause": pause.total_seconds()}
    begins: datetime | None = connection.scalar(PLAN_NEXT, parameters)
    return begins


def postpone_attempt(connection: Connection, planned: PlannedAttempt, pause: timedelta) -> None:
    """Let a planned attempt begin after a pause from now."""
    connection.execute(POSTPONE, {**planned._asdict(), "pause": pause.total_seconds()})


def forget_next_attempt(connection: Connection, task_id: str, attempt: int) -> None:
    """Forget that an attempt follows this one."""
    connection.execute(FORGET_NEXT, {"task_id": task_id, "attempt": attempt})


def forget_all_next_attempts(connection: Connection) -> None:
    """Forget every planned attempt."""
    connection.execute(FORGET_ALL_NEXT)


def planned_attempts(connection: Connection) -> dict[str, Any]:
    """The number of `tasks` for which an attempt is planned, and `next_at`, when the first one begins."""
    return dict(connection.execute(COUNT_NEXT).one()._mapping)


def has_execution(connection: Connection, task_id: str, attempt: int, execution_arn: str) -> bool:
    """Whether an attempt of the task belongs to this execution. An attempt with the same number in an earlier
    life of the task, before an erasure, had another one.
    """
    subject = {"task_id": task_id, "attempt": attempt, "execution_arn": execution_arn}
    return bool(connection.scalar(HAS_EXECUTION, subject))


def cancel_attempt(connection: Connection, task_id: str, attempt: int) -> None:
    """Record that an attempt without a recorded end is cancelled."""
    connection.execute(CANCEL, {"task_id": task_id, "attempt": attempt})


def end_attempts_of_deleted_tasks(connection: Connection) -> None:
    """Record the end of the open attempts of tasks that the product has deleted."""
    connection.execute(END_OF_DELETED_TASKS)


def record_attempt_outcome(
    connection: Connection,
    task_id: str,
    attempt: int,
    missing: Mapping[ContentType, int] | None,
    failed: Mapping[ContentType, int],
    outcome: str | None = None,
) -> None:
    """Complete an attempt's row; if it is called again after the tables have changed, the row is updated.
    `missing` has the numbers of items of the attempt's scope that are missing, or not replaced, at its end,
    and `failed` those of them that have failed. If the missing items cannot be read (`None`), the numbers of
    saved and failed items are unknown: empty objects. `outcome` is the task's status by default.
    """
    row = connection.execute(READ_FOR_OUTCOME, {"task_id": task_id, "attempt": attempt}).one_or_none()
    if row is None:
        return  # never claimed: a retry found nothing missing, and corrects the task's records
    planned, saved, failed_of_plan = balance(row.planned, missing, failed)
    generated = dict.fromkeys(ContentType, 0) | (row.generated or {})
    counts = {"planned": planned, "saved": saved, "failed": failed_of_plan, "generated": generated}
    end = {name: json.dumps(items) for name, items in counts.items()} | {"outcome": outcome or row.status}
    connection.execute(CLOSE, {"task_id": task_id, "attempt": attempt, "tokens": row.tokens, **end})
    if spent := row.tokens - row.tokens_before:
        connection.execute(COUNT_TOKENS, {"task_id": task_id, "spent": spent})


def uncounted_attempts(connection: Connection, limit: int) -> Sequence[tuple[str, int, str]]:
    """Some attempts that were superseded by a later claim and not counted: task, attempt and outcome."""
    return [(*row,) for row in connection.execute(UNCOUNTED, {"limit": limit})]


def balance(
    planned: Mapping[str, int] | None,
    missing: Mapping[ContentType, int] | None,
    failed: Mapping[ContentType, int],
) -> tuple[dict[ContentType, int], dict[ContentType, int], dict[ContentType, int]]:
    """The numbers `(planned, saved, failed)` of an attempt's items by content type, computed from the plan
    and from the numbers at its end. Without `missing`, those of saved and failed items are unknown: empty.

    planned = saved + failed, unless some of the missing items have not failed: they were not started. For an
    attempt that failed before its plan, planned is the number of missing items at its end. An item that
    became missing after the plan is not counted.
    """
    plan = dict(missing or {}) if planned is None else {name: planned.get(name, 0) for name in ContentType}
    if missing is None:
        return plan, {}, {}
    missing_of_plan = {name: min(plan[name], missing[name]) for name in ContentType}
    saved = {name: plan[name] - missing_of_plan[name] for name in ContentType}
    failed_of_plan = {name: min(missing_of_plan[name], failed[name]) for name in ContentType}
    return plan, saved, failed_of_plan


def tokens_of_a_day(connection: Connection) -> int:
    return int(connection.execute(TOKENS_OF_A_DAY).scalar_one())
