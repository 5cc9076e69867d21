"""Lists of failure groups, each with its state, an example and its failures by hour."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from ...contracts.api.filters import TaskFilter
from ...contracts.states import GroupState
from ...state.tasks.listing import task_conditions
from .states import WITH_STATE, FailureGroupNotFoundError
from .turns import deciding_task

# The groups with current failures, by their stored sums.
_SUMS = f"SELECT * FROM ({WITH_STATE}) AS w WHERE items > 0"

# One group, also without current failures.
_ONE = f"SELECT * FROM ({WITH_STATE}) AS w WHERE group_id = :group_id"

# The stored sums of group `g` by hour.
_KEPT_HOURS = """
SELECT hour, items FROM content_failure_hours k
WHERE k.group_id = g.group_id AND k.items > 0 ORDER BY hour DESC LIMIT 24
"""

# The groups of some tasks, with their sums: computed from `chosen`, the current failures of these tasks. All
# failures of a group have its code, stage and reason: `min` is that of any.
_SUMS_OF_SOME = f"""
SELECT c.*, w.state, w.actor, w.note, w.changed_at, w.until, w.until_tasks FROM (
    SELECT group_id, min(error_code) AS error_code, min(stage) AS stage, min(reason) AS reason,
        bool_and(transient) AS transient, count(DISTINCT task_id) AS tasks, sum(items) AS items,
        (SELECT json_object_agg(content_type, of_type) FROM (SELECT content_type, sum(items) AS of_type
            FROM chosen t WHERE t.group_id = s.group_id GROUP BY content_type ORDER BY content_type) AS t
        ) AS by_type, min(first_seen) AS first_seen, max(last_seen) AS last_seen
    FROM chosen s GROUP BY group_id) AS c JOIN ({WITH_STATE}) AS w USING (group_id)
"""

# The sums of group `g` in `chosen` by the hour of the last failure.
_HOURS_OF_SOME = """
SELECT date_trunc('hour', c.last_seen, 'UTC') AS hour, sum(c.items) AS items FROM chosen c
WHERE c.group_id = g.group_id GROUP BY hour ORDER BY hour DESC LIMIT 24
"""

# Sums up the failures of all groups by hour: all, and those that have not been healed since.
HOURS = text("""
SELECT hour, sum(failed) AS failed, sum(items) AS still FROM content_failure_hours
WHERE hour >= :since GROUP BY hour HAVING sum(failed) > 0 ORDER BY hour
""")

# Finds the groups with failures since then and none now, with what has healed them.
HEALED = text("""
SELECT g.group_id, g.error_code, g.stage, g.reason, g.last_seen, sum(h.failed) AS failed,
    sum(h.automatically) AS automatically, sum(h.by_recovery) AS by_recovery, sum(h.by_person) AS by_person
FROM content_failure_hours h JOIN content_failure_groups g USING (group_id)
WHERE h.hour >= :since AND g.items = 0
GROUP BY g.group_id HAVING sum(h.failed) > 0 ORDER BY failed DESC, g.group_id LIMIT 100
""")


def read_groups(
    connection: Connection,
    waiting: str,
    task_filter: TaskFilter,
    states: Sequence[GroupState],
    after: tuple[int, str] | None,
    limit: int,
) -> Sequence[Any]:
    """One page of groups after `(items, group_id)`, each with its state, an example and its items by hour.
    Without `states`, groups in every state. `waiting`: the SQL of `waiting_tasks`.
    """
    parameters: dict[str, Any] = {**task_filter.by_failure, "limit": limit}
    place = "true"
    if after is not None:
        place = "(items, group_id) < (:key_items, :key_group_id)"
        parameters |= {"key_items": after[0], "key_group_id": after[1]}
    if states:
        place += " AND state = ANY(:states)"
        parameters["states"] = [str(state) for state in states]
    conditions, of_tasks = task_conditions(task_filter)
    # The condition `failure` is on failures: below, it is asked of them or of the sums.
    on_tasks = [condition.of_set for name, condition in conditions.items() if name != "failure"]
    if on_tasks or task_filter.content_type:  # the stored sums are those of all tasks and all types
        parameters |= of_tasks
        on_failures = [f"f.{name} = :{name}" for name in task_filter.by_failure]
        statement = (
            "WITH chosen AS MATERIALIZED (SELECT f.* FROM content_task_failures f"
            f" JOIN roadmap_tasks t ON t.task_id = f.task_id WHERE {' AND '.join([*on_failures, *on_tasks])})"
        ) + _page(_SUMS_OF_SOME, "chosen", _HOURS_OF_SOME, place, waiting)
    else:
        groups = " AND ".join([_SUMS, *(f"{name} = :{name}" for name in task_filter.by_failure)])
        statement = _page(groups, "content_task_failures", _KEPT_HOURS, place, waiting)
    return connection.execute(text(statement), parameters).all()


def read_group(connection: Connection, waiting: str, group_id: str) -> Any:  # noqa: ANN401 - a SQLAlchemy row
    """A row of `read_groups`, also without failures. Raises FailureGroupNotFoundError: no such group."""
    statement = _page(_ONE, "content_task_failures", _KEPT_HOURS, "true", waiting)
    group = connection.execute(text(statement), {"group_id": group_id, "limit": 1}).one_or_none()
    if group is None:
        raise FailureGroupNotFoundError(f"there is no failure group {group_id!r}")
    return group


def _page(groups: str, failures: str, hours: str, place: str, waiting: str) -> str:
    """A statement that reads a page of groups, the largest first, each with an example of its failures, its
    last hours, and the task that decides its turn.

    Args:
        groups: a SELECT of groups with their sums and states.
        failures: the table or CTE with the failures of these groups.
        hours: a SELECT of `hour` and `items` of the group `g`, the latest first.
        place: the condition on a group that begins the page.
        waiting: the SQL of `waiting_tasks`.
    """
    return f"""
SELECT g.*, e.task_id AS example_task_id, e.example_concept_id, e.example_type, e.example_reason, h.by_hour,
    {deciding_task(failures, waiting)} AS deciding
FROM (SELECT * FROM ({groups}) AS s WHERE {place} ORDER BY items DESC, group_id DESC LIMIT :limit) AS g
LEFT JOIN LATERAL (
    SELECT f.task_id, f.example_concept_id, f.content_type AS example_type, f.example_reason FROM {failures} f
    WHERE f.group_id = g.group_id ORDER BY f.created_at DESC, f.task_id DESC LIMIT 1) AS e ON true
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_array(hour, items) ORDER BY hour) AS by_hour FROM ({hours}) AS l) AS h ON true
ORDER BY g.items DESC, g.group_id DESC
"""
