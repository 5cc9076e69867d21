"""Reading the audit trail of attempts, for lists, decisions and estimates."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, text

# Whether an attempt was claimed before an age. The first rows of the table are among the oldest, and reading
# a hundred takes the same time for any number.
CLAIMED_BEFORE = text("""
SELECT coalesce(min(claimed_at) < now() - CAST(:age AS interval), false)
FROM (SELECT claimed_at FROM content_attempts LIMIT 100) AS first
""")

COST = """
SELECT coalesce(sum(a.tokens), 0) AS tokens, coalesce(sum(by_type.items), 0) AS items
FROM content_attempts a
LEFT JOIN LATERAL (
    SELECT sum(CAST(value AS bigint)) AS items FROM json_each_text(a.generated)
) by_type ON true
"""
"""The beginning of a statement that sums the tokens and generated items of the attempts `a` that its WHERE
selects, including the tokens of items that failed.
"""

LATEST_ACTOR = text("""
SELECT actor FROM content_attempts WHERE task_id = :task_id ORDER BY attempt DESC LIMIT 1
""")

# Reads a page of a task's attempts. `temporary` has the numbers of the attempt's own transient failures by
# error code: those of items outside its scope are copied from earlier attempts, as are all of an attempt that
# was cancelled before its plan. A part that the scope does not have limits nothing.
PAGE = text("""
SELECT attempt, actor, cause, reason, execution_arn, redrive_count, step, claimed_at, ended_at, outcome,
    planned, saved, failed, generated, tokens, scope,
    (SELECT coalesce(json_object_agg(error_code, items), '{}') FROM (
        SELECT error_code, count(*) AS items
        FROM content_failures f, coalesce(f.long_concept_id, f.concept_id) AS item
        WHERE (f.task_id, f.attempt) = (a.task_id, a.attempt) AND f.transient
            AND (a.outcome <> 'cancelled'
                OR EXISTS (SELECT FROM json_each_text(a.planned) WHERE value <> '0')) IS NOT FALSE
            AND coalesce(a.scope ->> 'content_type' = f.content_type, true)
            AND coalesce(a.scope ->> 'concept_id' = item, true)
            AND (a.scope -> 'revisions' IS NULL
                OR a.scope #> ARRAY['revisions', f.content_type, item] IS NOT NULL)
        GROUP BY 1) AS t) AS temporary
FROM content_attempts a WHERE task_id = :task_id AND attempt < :before ORDER BY attempt DESC LIMIT :limit
""")


def read_attempts(connection: Connection, task_id: str, before: int, limit: int) -> Sequence[Any]:
    """One page of a task's attempts below number `before`, newest first."""
    return connection.execute(PAGE, {"task_id": task_id, "before": before, "limit": limit}).all()


def latest_actor(connection: Connection, task_id: str) -> str | None:
    """The actor of a task's latest attempt; `None` if there is none."""
    actor: str | None = connection.scalar(LATEST_ACTOR, {"task_id": task_id})
    return actor


def claimed_before(connection: Connection, age: timedelta) -> bool:
    """Whether one of the first attempts was claimed longer than `age` ago."""
    return bool(connection.scalar(CLAIMED_BEFORE, {"age": age}))
