"""Lists of failure groups, the largest first."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from .listing import TaskFilter, task_conditions

# Reads the stored sums, not the failures.
_SUMS = """
SELECT group_id, error_code, stage, content_type, reason, transient, tasks, items, first_seen, last_seen
FROM content_failure_groups WHERE items > 0
"""

_PAGE = """
SELECT g.*, e.task_id AS example_task_id, e.example_concept_id, e.example_reason, h.by_hour
FROM (SELECT * FROM (<groups>) AS s WHERE <place> ORDER BY items DESC, group_id DESC LIMIT :limit) AS g
LEFT JOIN LATERAL (
    SELECT f.task_id, f.example_concept_id, f.example_reason FROM <failures>
    WHERE f.group_id = g.group_id ORDER BY f.created_at DESC, f.task_id DESC LIMIT 1) AS e ON true
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_array(hour, items) ORDER BY hour) AS by_hour FROM (<hours>) AS l) AS h ON true
ORDER BY g.items DESC, g.group_id DESC
"""

_KEPT_HOURS = """
SELECT hour, items FROM content_failure_hours k
WHERE k.group_id = g.group_id AND k.items > 0 ORDER BY hour DESC LIMIT 24
"""

# For a subset of the tasks, computes the sums from the rows of those tasks.
_SUMS_OF_SOME = """
SELECT group_id, min(error_code) AS error_code, min(stage) AS stage, min(content_type) AS content_type,
    min(reason) AS reason, bool_and(transient) AS transient, count(*) AS tasks, sum(items) AS items,
    min(first_seen) AS first_seen, max(last_seen) AS last_seen
FROM chosen GROUP BY group_id
"""

_HOURS_OF_SOME = """
SELECT date_trunc('hour', c.last_seen) AS hour, sum(c.items) AS items FROM chosen c
WHERE c.group_id = g.group_id GROUP BY hour ORDER BY hour DESC LIMIT 24
"""


def read_groups(
    connection: Connection, task_filter: TaskFilter, after: tuple[int, str] | None, limit: int
) -> Sequence[Any]:
    """One page of groups after `(items, group_id)`, each with an example and its items by hour."""
    own = [f"f.{name} = :{name}" for name in task_filter.by_failure]
    parameters: dict[str, Any] = {**task_filter.by_failure, "limit": limit}
    place = "true"
    if after is not None:
        place = "(items, group_id) < (:key_items, :key_group_id)"
        parameters |= {"key_items": after[0], "key_group_id": after[1]}
    conditions, of_tasks = task_conditions(task_filter)
    where = [condition.of_set for name, condition in conditions.items() if name != "failure"]
    if where:
        parameters |= of_tasks
        chosen = (
            "SELECT f.* FROM content_task_failures f JOIN roadmap_tasks t ON t.task_id = f.task_id"
            f" WHERE {' AND '.join([*own, *where])}"
        )
        head, groups, failures, hours = (
            f"WITH chosen AS MATERIALIZED ({chosen}) ",
            _SUMS_OF_SOME,
            "chosen f",
            _HOURS_OF_SOME,
        )
    else:
        kept = [condition.removeprefix("f.") for condition in own]
        head, groups, failures, hours = (
            "",
            " AND ".join([_SUMS, *kept]),
            "content_task_failures f",
            _KEPT_HOURS,
        )
    statement = head + _PAGE.replace("<groups>", groups).replace("<failures>", failures).replace(
        "<hours>", hours
    ).replace("<place>", place)
    return connection.execute(text(statement), parameters).all()
