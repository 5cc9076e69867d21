"""The sums of `content_task_failures` by group (`content_failure_groups`), and by group and hour
(`content_failure_hours`). They change by the difference, in the transaction that changes the failures, so
that reading them costs the same for any number of tasks.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from ...contracts.documents import storable_json
from ...state.failures.groups import FailureRow

# Guarantees: a sum equals the sum of its rows in `content_task_failures`. Updated in the order of the groups,
# so that transactions that change the same groups wait for each other instead of deadlocking.
ADD_TO_GROUPS = text("""
INSERT INTO content_failure_groups AS known
    (group_id, error_code, stage, reason, transient, tasks, items, by_type, first_seen, last_seen)
SELECT group_id, error_code, stage, reason, transient, tasks, items, by_type, first_seen, last_seen
FROM json_to_recordset(CAST(:groups AS json)) AS d(
    group_id text, error_code text, stage text, reason text, transient boolean,
    tasks bigint, items bigint, by_type json, first_seen timestamptz, last_seen timestamptz)
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
FROM json_to_recordset(CAST(:hours AS json)) AS d(group_id text, hour timestamptz, items bigint)
ORDER BY group_id, hour
ON CONFLICT (group_id, hour) DO UPDATE SET items = known.items + excluded.items
""")


def change_sums(connection: Connection, before: Sequence[FailureRow], after: Sequence[FailureRow]) -> None:
    """Subtract a task's failures before a change from the sums, and add those after it."""
    changes, hours = _differences(before, after)
    if changes:
        connection.execute(ADD_TO_GROUPS, {"groups": storable_json(changes)})
    if hours:
        connection.execute(ADD_TO_HOURS, {"hours": storable_json(hours)})


def _differences(
    before: Sequence[FailureRow], after: Sequence[FailureRow]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The changes of the sums by group, and by group and hour."""
    changes: dict[str, dict[str, Any]] = {}
    hours: Counter[tuple[str, datetime]] = Counter()
    for sign, rows in ((-1, before), (1, after)):
        by_group: dict[str, list[FailureRow]] = {}
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
