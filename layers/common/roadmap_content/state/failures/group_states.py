"""Failure groups and their states: the table `content_group_changes`, an audit trail, its latest row applies.

The state of a group follows from its latest change and from its sums, so that no process has to write it:
an acknowledged group is resolved when its last failure is gone, and one that comes back after that has
regressed. Only new and regressed groups call a person.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from ...contracts.api.failures import GroupChangeRow, GroupStateRequest
from ...contracts.api.recoveries import TaskFilter
from ...contracts.errors import FailureGroupNotFoundError
from ...contracts.states import GroupState
from ...contracts.times import naive_utc
from ..tasks.listing import task_conditions

# `first_seen` is the beginning of the group's present failures: it is later than a change only if all
# failures of the time of the change are gone. An ignored group whose limit is reached is new again.
WITH_STATE = """
SELECT s.*, c.actor, c.note, c.changed_at, c.until, c.until_tasks, CASE c.state
    WHEN 'acknowledged' THEN CASE WHEN s.items = 0 THEN 'resolved'
        WHEN s.first_seen > c.changed_at THEN 'regressed' ELSE 'acknowledged' END
    WHEN 'resolved' THEN CASE WHEN s.items > 0 AND s.last_seen > c.changed_at THEN 'regressed'
        ELSE 'resolved' END
    WHEN 'ignored' THEN CASE WHEN c.until <= timezone('utc', now()) OR s.tasks >= c.until_tasks THEN 'new'
        ELSE 'ignored' END
    ELSE 'new' END AS state
FROM content_failure_groups s LEFT JOIN LATERAL (
    SELECT actor, note, changed_at, until, until_tasks, state FROM content_group_changes
    WHERE group_id = s.group_id ORDER BY change_id DESC LIMIT 1) c ON true
"""

COUNT = text(f"""
SELECT state, count(*) AS groups FROM ({WITH_STATE} WHERE s.items > 0 LIMIT :limit) g GROUP BY state
""")

RINGING = text(f"""
SELECT count(*) FROM ({WITH_STATE}) g
WHERE group_id IN (SELECT json_array_elements_text(CAST(:group_ids AS json)))
    AND state IN ('new', 'regressed')
""")

# Only of a group that exists.
CHANGE = text("""
INSERT INTO content_group_changes (group_id, actor, state, note, until, until_tasks)
SELECT group_id, :actor, :state, :note, :until, :until_tasks
FROM content_failure_groups WHERE group_id = :group_id
""")

CHANGES = text("""
SELECT changed_at AS at, actor, state, note, until, until_tasks FROM content_group_changes
WHERE group_id = :group_id ORDER BY change_id DESC LIMIT :limit
""")


def change_group(connection: Connection, group_id: str, actor: str, request: GroupStateRequest) -> None:
    """Change the state of a group. Raises FailureGroupNotFoundError: there is no such group."""
    until = request.until and naive_utc(request.until)
    change = {"group_id": group_id, "actor": actor, **request.model_dump(), "until": until}
    if connection.execute(CHANGE, change).rowcount == 0:
        raise FailureGroupNotFoundError(f"there is no failure group {group_id!r}")


def group_changes(connection: Connection, group_id: str, limit: int) -> list[GroupChangeRow]:
    """The latest changes of a group, newest first."""
    changes = connection.execute(CHANGES, {"group_id": group_id, "limit": limit})
    return [GroupChangeRow.model_validate(row._mapping) for row in changes]


def call_a_person(connection: Connection, group_ids: Sequence[str]) -> bool:
    """Whether one of the groups is new or has regressed."""
    return bool(connection.scalar(RINGING, {"group_ids": json.dumps(group_ids)}))


def count_groups(connection: Connection, limit: int) -> Mapping[GroupState, int]:
    """The number of groups with current failures by state, of `limit` groups at most."""
    groups = {row.state: row.groups for row in connection.execute(COUNT, {"limit": limit})}
    return {state: groups.get(state, 0) for state in GroupState}


# Reads the stored sums, not the failures.
_SUMS = f"SELECT * FROM ({WITH_STATE}) AS w WHERE items > 0"

_ONE = f"SELECT * FROM ({WITH_STATE}) AS w WHERE group_id = :group_id"

_KEPT_HOURS = """
SELECT hour, items FROM content_failure_hours k
WHERE k.group_id = g.group_id AND k.items > 0 ORDER BY hour DESC LIMIT 24
"""

# For a subset of the tasks, computes the sums from the rows of those tasks.
_SUMS_OF_SOME = f"""
SELECT c.*, w.state, w.actor, w.note, w.changed_at, w.until, w.until_tasks FROM (
    SELECT group_id, min(error_code) AS error_code, min(stage) AS stage, min(reason) AS reason,
        bool_and(transient) AS transient, count(DISTINCT task_id) AS tasks, sum(items) AS items,
        (SELECT json_object_agg(content_type, of_type) FROM (SELECT content_type, sum(items) AS of_type
            FROM chosen t WHERE t.group_id = s.group_id GROUP BY content_type ORDER BY content_type) AS t
        ) AS by_type, min(first_seen) AS first_seen, max(last_seen) AS last_seen
    FROM chosen s GROUP BY group_id) AS c JOIN ({WITH_STATE}) AS w USING (group_id)
"""

_HOURS_OF_SOME = """
SELECT date_trunc('hour', c.last_seen) AS hour, sum(c.items) AS items FROM chosen c
WHERE c.group_id = g.group_id GROUP BY hour ORDER BY hour DESC LIMIT 24
"""


def read_groups(
    connection: Connection,
    task_filter: TaskFilter,
    states: Sequence[GroupState],
    after: tuple[int, str] | None,
    limit: int,
) -> Sequence[Any]:
    """One page of groups after `(items, group_id)`, each with its state, an example and its items by hour.
    Without `states`, groups in every state.
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
    if where := [condition.of_set for name, condition in conditions.items() if name != "failure"]:
        parameters |= of_tasks
        own = [f"f.{name} = :{name}" for name in task_filter.by_failure]
        statement = (
            "WITH chosen AS MATERIALIZED (SELECT f.* FROM content_task_failures f"
            f" JOIN roadmap_tasks t ON t.task_id = f.task_id WHERE {' AND '.join([*own, *where])})"
        ) + _page(_SUMS_OF_SOME, "chosen", _HOURS_OF_SOME, place)
    else:
        of_sums = {"content_type": "by_type ->> :content_type IS NOT NULL"}
        kept = [of_sums.get(name, f"{name} = :{name}") for name in task_filter.by_failure]
        statement = _page(" AND ".join([_SUMS, *kept]), "content_task_failures", _KEPT_HOURS, place)
    return connection.execute(text(statement), parameters).all()


def read_group(connection: Connection, group_id: str) -> Any:  # noqa: ANN401 - a SQLAlchemy row
    """A row of `read_groups`, also without failures. Raises FailureGroupNotFoundError: no such group."""
    statement = _page(_ONE, "content_task_failures", _KEPT_HOURS, "true")
    group = connection.execute(text(statement), {"group_id": group_id, "limit": 1}).one_or_none()
    if group is None:
        raise FailureGroupNotFoundError(f"there is no failure group {group_id!r}")
    return group


def _page(groups: str, failures: str, hours: str, place: str) -> str:
    return f"""
SELECT g.*, e.task_id AS example_task_id, e.example_concept_id, e.example_type, e.example_reason, h.by_hour
FROM (SELECT * FROM ({groups}) AS s WHERE {place} ORDER BY items DESC, group_id DESC LIMIT :limit) AS g
LEFT JOIN LATERAL (
    SELECT f.task_id, f.example_concept_id, f.content_type AS example_type, f.example_reason FROM {failures} f
    WHERE f.group_id = g.group_id ORDER BY f.created_at DESC, f.task_id DESC LIMIT 1) AS e ON true
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_array(hour, items) ORDER BY hour) AS by_hour FROM ({hours}) AS l) AS h ON true
ORDER BY g.items DESC, g.group_id DESC
"""
