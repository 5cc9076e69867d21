"""The table `content_task_failures`: the current failures of each task, which are those of its latest attempt
that has ended, by group (`groups.py`) and content type.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from ...contracts.documents import storable_json
from .groups import FailureRow, FailuresChanged, TaskFailures

# Reads a task's current failures.
READ = text("""
SELECT group_id, attempt, error_code, stage, content_type, reason, transient, items, first_seen, last_seen
FROM content_task_failures WHERE task_id = :task_id
""")

NOW = text("SELECT now()")

# Inserts a task's current failures, if the task exists. Its user and time of creation are copied, so that one
# index returns a group's tasks in order.
INSERT = text("""
INSERT INTO content_task_failures
    (task_id, group_id, attempt, error_code, stage, content_type, reason, transient, items, first_seen,
    last_seen, example_concept_id, example_reason, user_id, created_at)
SELECT t.task_id, f.group_id, :attempt, f.error_code, f.stage, f.content_type, f.reason, f.transient, f.items,
    f.first_seen, f.last_seen, f.example_concept_id, f.example_reason, t.user_id, t.created_at
FROM roadmap_tasks t, json_to_recordset(CAST(:groups AS json)) AS f(
    group_id text, error_code text, stage text, content_type text, reason text, transient boolean,
    items integer, first_seen timestamptz, last_seen timestamptz, example_concept_id text,
    example_reason text)
WHERE t.task_id = :task_id
""")

# Removes a task's current failures and returns them. If two sweeps do so, only one of them gets the rows.
TAKE = text("""
DELETE FROM content_task_failures WHERE task_id = :task_id
RETURNING group_id, attempt, error_code, stage, content_type, reason, transient, items, first_seen, last_seen
""")


def replace_current_failures(
    connection: Connection,
    hooks: Sequence[FailuresChanged],
    task_id: str,
    attempt: int,
    groups: Sequence[TaskFailures],
) -> frozenset[str]:
    """Replace the current failures of a task with those of its attempt, and call the hooks, unless they are
    the same. Returns the ids of the groups that the task had before. The caller must hold the task's lock.
    """
    before = [dict(row) for row in connection.execute(READ, {"task_id": task_id}).mappings()]
    known = {(row["group_id"], row["content_type"]): row for row in before}
    groups_before = frozenset(group_id for group_id, _ in known)
    recorded = {name: (row["attempt"], row["items"], row["transient"]) for name, row in known.items()}
    if recorded == {
        (group.key.group_id, group.content_type): (attempt, group.items, group.transient) for group in groups
    }:
        return groups_before
    now: datetime = connection.execute(NOW).scalar_one()
    rows = [
        _row(group, known.get((group.key.group_id, group.content_type)), attempt, now) for group in groups
    ]
    connection.execute(TAKE, {"task_id": task_id})
    if rows:
        connection.execute(INSERT, {"task_id": task_id, "attempt": attempt, "groups": storable_json(rows)})
    # With failures of this attempt, its end was recorded before: the product has changed the content since.
    ended = None if any(row["attempt"] == attempt for row in before) else (task_id, attempt)
    for changed in hooks:
        changed(connection, before, rows, ended)
    return groups_before


def forget_failures(
    connection: Connection, hooks: Sequence[FailuresChanged], task_ids: Iterable[str]
) -> None:
    """Remove the current failures of tasks, and call the hooks."""
    for task_id in task_ids:
        taken = [dict(row) for row in connection.execute(TAKE, {"task_id": task_id}).mappings()]
        for changed in hooks:
            changed(connection, taken, [], None)


def _row(group: TaskFailures, known: FailureRow | None, attempt: int, now: datetime) -> dict[str, Any]:
    """The row of a group; `known` is its present one. An attempt that is recorded again is not seen again.
    A group has tasks of several users: its example has the reason `for_others`.
    """
    return {
        "group_id": group.key.group_id,
        **group.key._asdict(),
        "content_type": group.content_type,
        "transient": group.transient,
        "items": group.items,
        "first_seen": now if known is None else known["first_seen"],
        "last_seen": now if known is None or known["attempt"] != attempt else known["last_seen"],
        "example_concept_id": group.example.item.concept_id,
        "example_reason": group.example.for_others.reason,
    }
