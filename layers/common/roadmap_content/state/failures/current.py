"""Current failures by group: the table `content_task_failures` and its sums.

`content_task_failures` holds the failures of each task's latest attempt that has ended, by group and content
type. The sums by group (`content_failure_groups`) and by group and hour (`content_failure_hours`) are updated
in the same transaction by the difference, so that reading them costs the same for any number of tasks.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from ...contracts.documents import storable_json
from .groups import TaskFailures

READ = text("""
SELECT group_id, attempt, error_code, stage, content_type, reason, transient, items, first_seen, last_seen
FROM content_task_failures WHERE task_id = :task_id
""")

NOW = text("SELECT timezone('utc', now())")

REMOVE = text("DELETE FROM content_task_failures WHERE task_id = :task_id")

# The task's user and time of creation are copied, so that one index returns a group's tasks in order.
INSERT = text("""
INSERT INTO content_task_failures
    (task_id, group_id, attempt, error_code, stage, content_type, reason, transient, items, first_seen,
    last_seen, example_concept_id, example_reason, user_id, created_at)
SELECT t.task_id, f.group_id, :attempt, f.error_code, f.stage, f.content_type, f.reason, f.transient, f.items,
    f.first_seen, f.last_seen, f.example_concept_id, f.example_reason, t.user_id, t.created_at
FROM roadmap_tasks t, json_to_recordset(CAST(:groups AS json)) AS f(
    group_id text, error_code text, stage text, content_type text, reason text, transient boolean,
    items integer, first_seen timestamp, last_seen timestamp, example_concept_id text, example_reason text)
WHERE t.task_id = :task_id
""")

# Guarantees: a sum equals the sum of its rows in `content_task_failures`. Updated in the order of the groups,
# so that transactions that change the same groups wait for each other instead of deadlocking.
ADD_TO_GROUPS = text("""
INSERT INTO content_failure_groups AS known
    (group_id, error_code, stage, reason, transient, tasks, items, by_type, first_seen, last_seen)
SELECT group_id, error_code, stage, reason, transient, tasks, items, by_type, first_seen, last_seen
FROM json_to_recordset(CAST(:groups AS json)) AS d(
    group_id text, error_code text, stage text, reason text, transient boolean,
    tasks bigint, items bigint, by_type json, first_seen timestamp, last_seen timestamp)
ORDER BY group_id
ON CONFLICT (group_id) DO UPDATE SET
    tasks = known.tasks + excluded.tasks, items = known.items + excluded.items,
    by_type = (SELECT coalesce(json_object_agg(key, of_type), '{}') FROM (
        SELECT key, sum(CAST(value AS bigint)) AS of_type
        FROM (SELECT * FROM json_each_text(known.by_type)
            UNION ALL SELECT * FROM json_each_text(excluded.by_type)) AS counts
        GROUP BY key HAVING sum(CAST(value AS bigint)) <> 0 ORDER BY key) AS sums),
    transient = excluded.transient,
    first_seen = CASE WHEN known.items > 0 THEN least(known.first_seen, excluded.first_seen)
        ELSE excluded.first_seen END,
    last_seen = greatest(known.last_seen, excluded.last_seen)
""")

ADD_TO_HOURS = text("""
INSERT INTO content_failure_hours AS known (group_id, hour, items)
SELECT group_id, hour, items
FROM json_to_recordset(CAST(:hours AS json)) AS d(group_id text, hour timestamp, items bigint)
ORDER BY group_id, hour
ON CONFLICT (group_id, hour) DO UPDATE SET items = known.items + excluded.items
""")

# If two sweeps delete the same rows, only one of them gets and subtracts the rows.
# The current failures of a task follow it to another owner.
HAND_OVER = text("""
UPDATE content_task_failures f SET user_id = t.user_id FROM roadmap_tasks t
WHERE t.task_id = f.task_id AND t.user_id <> :user_id AND f.user_id = :user_id
""")

TAKE = text("""
DELETE FROM content_task_failures WHERE task_id = :task_id
RETURNING group_id, attempt, error_code, stage, content_type, reason, transient, items, first_seen, last_seen
""")

_Row = Mapping[str, Any]
"""A task's failures of one group and content type, with the columns of the table."""


def replace_current_failures(
    connection: Connection, task_id: str, attempt: int, groups: Sequence[TaskFailures]
) -> frozenset[str]:
    """Replace the current failures of a task with `groups`, and update the sums. Idempotent. Returns the ids
    of the groups that the task had before. The caller must hold the lock of the task's outcome.
    """
    before = [dict(row) for row in connection.execute(READ, {"task_id": task_id}).mappings()]
    known = {(row["group_id"], row["content_type"]): row for row in before}
    groups_before = frozenset(group_id for group_id, _ in known)
    if {name: (row["attempt"], row["items"], row["transient"]) for name, row in known.items()} == {
        (group.key.group_id, group.content_type): (attempt, group.items, group.transient) for group in groups
    }:
        return groups_before
    now: datetime = connection.execute(NOW).scalar_one()
    rows = [
        _row(group, known.get((group.key.group_id, group.content_type)), attempt, now) for group in groups
    ]
    connection.execute(REMOVE, {"task_id": task_id})
    if rows:
        connection.execute(INSERT, {"task_id": task_id, "attempt": attempt, "groups": storable_json(rows)})
    _add_to_sums(connection, before, rows)
    return groups_before


def forget_failures(connection: Connection, task_ids: Iterable[str]) -> None:
    """Remove the current failures of tasks, and subtract them from the sums."""
    for task_id in task_ids:
        taken = connection.execute(TAKE, {"task_id": task_id}).mappings()
        _add_to_sums(connection, [dict(row) for row in taken], [])


def hand_over_failures(connection: Connection, user_id: str) -> None:
    """Give a user's failures of tasks that have another owner now to that owner."""
    connection.execute(HAND_OVER, {"user_id": user_id})


def _add_to_sums(connection: Connection, before: Sequence[_Row], after: Sequence[_Row]) -> None:
    changes, hours = _differences(before, after)
    if changes:
        connection.execute(ADD_TO_GROUPS, {"groups": storable_json(changes)})
    if hours:
        connection.execute(ADD_TO_HOURS, {"hours": storable_json(hours)})


def _row(group: TaskFailures, known: _Row | None, attempt: int, now: datetime) -> dict[str, Any]:
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


def _differences(
    before: Sequence[_Row], after: Sequence[_Row]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The changes of the sums by group, and by group and hour."""
    changes: dict[str, dict[str, Any]] = {}
    hours: Counter[tuple[str, datetime]] = Counter()
    for sign, rows in ((-1, before), (1, after)):
        by_group: dict[str, list[_Row]] = {}
        for row in rows:
            by_group.setdefault(row["group_id"], []).append(row)
        for group_id, same in by_group.items():
            counts = Counter({row["content_type"]: sign * row["items"] for row in same})
            change = changes.setdefault(group_id, {"tasks": 0, "by_type": Counter()})
            change["by_type"].update(counts)
            changes[group_id] = {
                **{name: same[0][name] for name in ("group_id", "error_code", "stage", "reason")},
                "transient": all(row["transient"] for row in same),
                "first_seen": min(row["first_seen"] for row in same),
                "last_seen": max(row["last_seen"] for row in same),
                "tasks": change["tasks"] + sign,
                "by_type": change["by_type"],
            }
            for row in same:
                hour = row["last_seen"].replace(minute=0, second=0, microsecond=0)
                hours[group_id, hour] += sign * row["items"]
    return (
        [changes[group_id] | {"items": changes[group_id]["by_type"].total()} for group_id in sorted(changes)],
        [
            {"group_id": group_id, "hour": hour, "items": count}
            for (group_id, hour), count in sorted(hours.items())
            if count
        ],
    )
