"""The sums of `content_task_failures` by group (`content_failure_groups`), and by group and hour
(`content_failure_hours`). They change by the difference, in the transaction that changes the failures, so
that reading them costs the same for any number of tasks. Of each hour, `failed` and the numbers of healed
items only grow.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from ...contracts.documents import storable_json
from ...state.failures.groups import Ended, FailureRow

# Adds differences, also negative ones, to the sums of groups. A type with 0 items leaves `by_type`. A group
# without items begins anew: `first_seen` is then that of its new failures.
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

# Adds differences to the sums of hours. A healed item has no hour in `:hours`: it is healed now, because an
# attempt ends without its failure, and the cause of the attempt is that of the healing.
ADD_TO_HOURS = text("""
INSERT INTO content_failure_hours AS known
    (group_id, hour, items, failed, automatically, by_recovery, by_person)
SELECT group_id, coalesce(hour, date_trunc('hour', now(), 'UTC')) AS at, sum(items), sum(greatest(items, 0)),
    coalesce(sum(healed) FILTER (WHERE cause = 'automatic'), 0),
    coalesce(sum(healed) FILTER (WHERE cause = 'recovery'), 0),
    coalesce(sum(healed) FILTER (WHERE cause NOT IN ('automatic', 'recovery')), 0)
FROM json_to_recordset(CAST(:hours AS json)) AS d(
        group_id text, hour timestamptz, items bigint, healed bigint)
    LEFT JOIN content_attempts ON (task_id, attempt) = (CAST(:task_id AS text), CAST(:attempt AS integer))
GROUP BY group_id, at ORDER BY group_id, at
ON CONFLICT (group_id, hour) DO UPDATE SET
    items = known.items + excluded.items, failed = known.failed + excluded.failed,
    automatically = known.automatically + excluded.automatically,
    by_recovery = known.by_recovery + excluded.by_recovery, by_person = known.by_person + excluded.by_person
""")


def change_sums(
    connection: Connection, before: Sequence[FailureRow], after: Sequence[FailureRow], ended: Ended | None
) -> None:
    """Subtract a task's failures before a change from the sums, and add those after it. `ended` is the
    attempt whose end changes them: only an end heals items.
    """
    groups, hours = _differences(before, after)
    if ended is not None:
        hours += _healed(groups)
    if groups:
        connection.execute(ADD_TO_GROUPS, {"groups": storable_json(groups)})
    if hours:
        task_id, attempt = ended or (None, None)
        by = {"task_id": task_id, "attempt": attempt}
        connection.execute(ADD_TO_HOURS, {"hours": storable_json(hours), **by})


def _healed(changes: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The healed items by group, without an hour. As many are healed as the task has fewer failures in all,
    of the groups that have lost most: an item that fails for another reason now has only changed its group.
    """
    left = -sum(change["items"] for change in changes)
    healed = []
    for change in sorted(changes, key=lambda change: change["items"]):
        count = min(-change["items"], left)
        if count > 0:
            healed.append({"group_id": change["group_id"], "items": 0, "healed": count})
            left -= count
    return healed


def _differences(
    before: Sequence[FailureRow], after: Sequence[FailureRow]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The differences of the sums: by group for `ADD_TO_GROUPS`, by group and hour for `ADD_TO_HOURS`. All
    rows are of one task, which counts once in a group, whatever its rows there.
    """
    by_group: dict[str, dict[str, Any]] = {}
    by_hour: Counter[tuple[str, datetime]] = Counter()
    for sign, rows in ((-1, before), (1, after)):
        rows_of_group: dict[str, list[FailureRow]] = {}
        for row in rows:
            rows_of_group.setdefault(row["group_id"], []).append(row)
            hour = row["last_seen"].replace(minute=0, second=0, microsecond=0)
            by_hour[row["group_id"], hour] += sign * row["items"]
        for group_id, alike in rows_of_group.items():
            # `after` comes second: what describes the group is that of its present failures.
            sums = by_group.get(group_id, {"tasks": 0, "by_type": Counter()})
            sums["by_type"].update({row["content_type"]: sign * row["items"] for row in alike})
            by_group[group_id] = {
                **{name: alike[0][name] for name in ("group_id", "error_code", "stage", "reason")},
                "transient": all(row["transient"] for row in alike),
                "first_seen": min(row["first_seen"] for row in alike),
                "last_seen": max(row["last_seen"] for row in alike),
                "tasks": sums["tasks"] + sign,
                "by_type": sums["by_type"],
            }
    groups = [sums | {"items": sums["by_type"].total()} for _, sums in sorted(by_group.items())]
    hours = [
        {"group_id": group_id, "hour": hour, "items": items, "healed": 0}
        for (group_id, hour), items in sorted(by_hour.items())
        if items
    ]
    return groups, hours
