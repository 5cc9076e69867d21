"""The table `content_recoveries`."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, TextClause, text

from ...contracts.events import DetailType, Event
from ...contracts.states import RecoveryState
from ...state.services import HealthPart
from .decisions import LOOK_AT_CANARY, Limits
from .errors import RecoveryNotFoundError

# Inserts a recovery that waits for its first step, unless an earlier try of the transaction has done it.
INSERT = text("""
INSERT INTO content_recoveries
    (recovery_id, state, actor, reason, filter, rate_per_minute, concurrency, token_budget, canary, breaker)
VALUES (:recovery_id, 'waiting', :actor, :reason, CAST(:filter AS json), :rate_per_minute, :concurrency,
    :token_budget, :canary, :breaker)
ON CONFLICT (recovery_id) DO NOTHING
""")

# The columns of a `Recovery`. Its times are compared with `now`, the clock of the database that wrote them.
_SELECT = """
SELECT recovery_id, state, actor, reason, filter, rate_per_minute, concurrency, token_budget, canary, breaker,
    created_at, started_at, ended_at, resumed_at, stop_reason, next_start_at, tokens_used,
    clock_timestamp() AS now
FROM content_recoveries
"""

READ = text(f"{_SELECT} WHERE recovery_id = :recovery_id")

LOCK = text(f"{_SELECT} WHERE recovery_id = :recovery_id FOR UPDATE")

# Finds the next recoveries of the list, newest first; without a position, its beginning.
PAGE = text(f"""
{_SELECT}
WHERE (created_at, recovery_id) < (coalesce(CAST(:created_at AS timestamptz), 'infinity'), :recovery_id)
ORDER BY created_at DESC, recovery_id DESC LIMIT :limit
""")

# Finds the latest recoveries that were created for a failure group.
OF_GROUP = text(f"""
{_SELECT} WHERE filter ->> 'group_id' = :group_id ORDER BY created_at DESC, recovery_id DESC LIMIT :limit
""")

# Finds the recoveries to advance, the one that was advanced longest ago first, so that each is reached. A
# paused one has nothing to do when its running tasks have ended.
UNFINISHED = text("""
SELECT recovery_id FROM content_recoveries c
WHERE ended_at IS NULL AND (state NOT IN ('paused', 'paused_by_breaker') OR EXISTS (
    SELECT FROM content_recovery_tasks r WHERE r.recovery_id = c.recovery_id AND r.result = 'running'))
ORDER BY advanced_at NULLS FIRST, recovery_id
""")

# Finds the tasks that wait for a recovery, and those with an attempt that a paused one may hold.
WAITING = """
SELECT r.task_id, r.recovery_id, r.attempt, c.state IN ('paused', 'paused_by_breaker') AS is_paused,
    r.items IS NOT NULL AS regenerates
FROM content_recoveries c JOIN content_recovery_tasks r USING (recovery_id)
WHERE c.ended_at IS NULL
    AND (r.result = 'waiting' OR r.result = 'running' AND c.state IN ('paused', 'paused_by_breaker'))
"""

# Counts the recoveries that start tasks, and those that have paused by themselves. One that a person has
# paused is in neither count; it has no `stop_reason`.
COUNT_UNFINISHED = text("""
SELECT count(*) FILTER (WHERE state NOT IN ('paused', 'paused_by_breaker')) AS recoveries_running,
    count(*) FILTER (WHERE state LIKE 'paused%' AND stop_reason IS NOT NULL) AS recoveries_paused
FROM content_recoveries WHERE ended_at IS NULL
""")

# Writes what a step or a person has decided, and that it was now. A recovery starts with the first step that
# permits starts, and not if it is paused or cancelled before.
WRITE = text("""
UPDATE content_recoveries SET
    state = :state, stop_reason = :stop_reason, next_start_at = :next_start_at,
    started_at = coalesce(started_at, CASE WHEN :state IN ('canary', 'running') THEN now() END),
    advanced_at = clock_timestamp(),
    ended_at = CASE WHEN :ended THEN coalesce(ended_at, now()) END
WHERE recovery_id = :recovery_id
""")

# Adds ended tasks: their tokens, and the number of those that used any.
ADD_TOKENS = text("""
UPDATE content_recoveries SET tokens_used = tokens_used + :tokens, paid = paid + :paid
WHERE recovery_id = :recovery_id
""")

# Resumes a recovery: the reason of its pause is over.
RESUME = text("""
UPDATE content_recoveries SET state = :state, stop_reason = NULL, resumed_at = now()
WHERE recovery_id = :recovery_id
""")


def recovery_actor(recovery_id: str) -> str:
    return f"recovery:{recovery_id}"


def recovery_of(actor: str | None) -> str | None:
    """The recovery that started an attempt with this actor; `None` if none did."""
    prefix = recovery_actor("")
    return actor.removeprefix(prefix) if actor is not None and actor.startswith(prefix) else None


@dataclass(frozen=True, kw_only=True)
class Recovery(Limits):
    """One row of `content_recoveries`."""

    recovery_id: str
    state: str
    actor: str
    reason: str
    filter: Mapping[str, Any]
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    resumed_at: datetime | None
    stop_reason: str | None
    next_start_at: datetime | None
    tokens_used: int
    """By the tasks that have ended."""

    now: datetime
    """The database's clock when the row was read."""

    @property
    def instruction(self) -> str | None:
        """How saved contents are changed; `None`: none are, or they are generated again."""
        return self.filter.get("instruction")


def insert_recovery(
    connection: Connection,
    recovery_id: str,
    task_filter: Mapping[str, Any],
    limits: Limits,
    actor: str,
    reason: str,
) -> bool:
    """Insert a recovery without tasks; `False` if it exists."""
    row = {"recovery_id": recovery_id, "actor": actor, "reason": reason, **vars(limits)}
    row["filter"] = json.dumps(task_filter, default=str)
    return connection.execute(INSERT, row).rowcount == 1


def read_recovery(connection: Connection, recovery_id: str, *, lock: bool = False) -> Recovery:
    """Read a recovery. With `lock`, its row is locked until the end of the transaction.

    Raises RecoveryNotFoundError: there is none.
    """
    recoveries = _read(connection, LOCK if lock else READ, {"recovery_id": recovery_id})
    if not recoveries:
        raise RecoveryNotFoundError(f"there is no recovery {recovery_id!r}")
    return recoveries[0]


def read_recoveries(connection: Connection, after: tuple[datetime, str] | None, limit: int) -> list[Recovery]:
    """A page of recoveries, newest first."""
    created_at, recovery_id = after or (None, "")
    return _read(connection, PAGE, {"created_at": created_at, "recovery_id": recovery_id, "limit": limit})


def recoveries_of_group(connection: Connection, group_id: str, limit: int) -> list[Recovery]:
    """The latest recoveries with a failure group in their filter, newest first."""
    return _read(connection, OF_GROUP, {"group_id": group_id, "limit": limit})


def _read(connection: Connection, statement: TextClause, parameters: Mapping[str, Any]) -> list[Recovery]:
    return [Recovery(**row) for row in connection.execute(statement, parameters).mappings()]


def count_unfinished_recoveries(connection: Connection, _waiting: str) -> HealthPart:
    """Count the recoveries that have not ended, for `Health`."""
    counts = connection.execute(COUNT_UNFINISHED).one()._asdict()
    return HealthPart(counts, ("recoveries_paused", counts["recoveries_paused"]))


def unfinished_recoveries(connection: Connection) -> Sequence[str]:
    """The recoveries with something to do, the one that was advanced longest ago first."""
    return connection.scalars(UNFINISHED).all()


def write_recovery(
    connection: Connection,
    recovery: Recovery,
    *,
    state: str,
    stop_reason: str | None = None,
    next_start_at: datetime | None = None,
    ended: bool = False,
) -> None:
    """Write the state of a recovery, which must be locked. Without `stop_reason` or `next_start_at`, the
    column keeps its value.
    """
    reason, start_at = stop_reason or recovery.stop_reason, next_start_at or recovery.next_start_at
    changed = {"state": state, "stop_reason": reason, "next_start_at": start_at, "ended": ended}
    connection.execute(WRITE, {"recovery_id": recovery.recovery_id, **changed})


def add_tokens(connection: Connection, recovery_id: str, tokens: int, paid: int) -> None:
    """Count the tokens of tasks that have ended; `paid` of them used some."""
    connection.execute(ADD_TOKENS, {"recovery_id": recovery_id, "tokens": tokens, "paid": paid})


def resume_recovery(connection: Connection, recovery: Recovery) -> None:
    """Return a paused recovery, which must be locked, to the state in which it continues."""
    if recovery.canary and recovery.stop_reason != LOOK_AT_CANARY:
        state = RecoveryState.CANARY  # also if the canary has ended: `next_state` finds that out
    else:
        state = RecoveryState.RUNNING  # a person has looked at the canary
    connection.execute(RESUME, {"recovery_id": recovery.recovery_id, "state": state})


def recovery_ended(recovery_id: str, state: str, counts: Mapping[str, int]) -> Event:
    """The event of a recovery's end; `counts` are its tasks by result, and their `total`."""
    data = {"recovery_id": recovery_id, "state": state, "counts": dict(counts)}
    return Event.of(DetailType.RECOVERY_ENDED, data, recovery_id, state)
