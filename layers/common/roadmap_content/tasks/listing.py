"""Lists of tasks: the filter, and statements that read a page without reading the pages before it.

A page is ordered by the task's creation, the newest first. This order never changes, so a task is listed
once, even if it is updated between two pages.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

MAX_COUNTED = 1_000
"""Totals are counted up to this number. For a larger total, PostgreSQL's estimate is returned, so that the
time does not grow with the number of tasks.
"""

MAX_CANDIDATES = 10_000
"""Up to this number, the tasks with a prefix are selected by an index on the prefix; more are found by
reading in the list's order.
"""

MAX_GROUPS_OF_A_ROW = 20


@dataclass(frozen=True)
class TaskFilter:
    """A filter for tasks. A task must meet every condition. Times are UTC without a time zone."""

    status: tuple[str, ...] = ()
    error_code: str | None = None
    content_type: str | None = None
    user_id: str | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None
    q: str | None = None
    """A prefix of a task's or a roadmap's id, or of a title."""

    group_id: str | None = None
    task_ids: tuple[str, ...] = ()

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions that are set."""
        return {name: value for name, value in asdict(self).items() if value not in (None, ())}

    @property
    def fingerprint(self) -> str:
        """A hash that identifies the filter."""
        document = json.dumps(self.conditions, default=str, sort_keys=True)
        return hashlib.sha256(document.encode()).hexdigest()[:12]

    @property
    def by_failure(self) -> dict[str, str]:
        """The conditions on a task's current failures."""
        columns = {
            "group_id": self.group_id,
            "error_code": self.error_code,
            "content_type": self.content_type,
        }
        return {name: value for name, value in columns.items() if value is not None}


def _local(parameter: str) -> str:
    """A parameter in UTC, converted to the time zone of the product's columns."""
    return f"timezone(content_time_zone(), timezone('UTC', CAST(:{parameter} AS timestamp)))"


class Key(NamedTuple):
    """The position of a task in a list."""

    created_at: datetime
    task_id: str


class Total(NamedTuple):
    """A number of tasks."""

    tasks: int
    is_exact: bool
    """If not, `tasks` is PostgreSQL's estimate, from its statistics."""


class Selection(NamedTuple):
    """The FROM and WHERE of a filter, its parameters, and the alias of the table that determines the
    order.
    """

    source: str
    where: Sequence[str]
    parameters: Mapping[str, Any]
    order: str

    def after(self, key: Key | None) -> "Selection":
        """The part of the list after a position."""
        if key is None:
            return self
        condition = (
            f"({self.order}.created_at, {self.order}.task_id) < ({_local('key_created_at')}, :key_task_id)"
        )
        named = {"key_created_at": key.created_at, "key_task_id": key.task_id}
        return self._replace(where=[*self.where, condition], parameters={**self.parameters, **named})

    def sql(self, columns: str) -> str:
        """A SELECT of these columns."""
        where = " AND ".join(self.where) or "true"
        return f"SELECT {columns} FROM {self.source} WHERE {where}"


# The columns contain the local time of the database's owner; pages, cursors and filters are in UTC.
_ROW = """
SELECT t.task_id, t.roadmap_id, r.title, t.user_id, t.status, t.current_step, t.attempt,
    timezone('UTC', timezone(content_time_zone(), t.updated_at)) AS updated_at,
    timezone('UTC', timezone(content_time_zone(), t.created_at)) AS created_at,
    timezone('UTC', timezone(content_time_zone(), t.completed_at)) AS completed_at,
    CAST(t.execution_summary AS text) AS execution_summary, f.groups
FROM page p JOIN roadmap_tasks t USING (task_id)
LEFT JOIN roadmap_metadata r ON r.roadmap_id = t.roadmap_id
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_array(error_code, stage, content_type, reason, items)
        ORDER BY items DESC, group_id) AS groups
    FROM (SELECT * FROM content_task_failures g WHERE g.task_id = t.task_id
        ORDER BY items DESC, group_id LIMIT :groups) AS g) AS f ON true
ORDER BY p.created_at DESC, p.task_id DESC
"""


def select_tasks(connection: Connection, task_filter: TaskFilter) -> Selection:
    """The statement for a filter. Failures are read from their own table, in the same order."""
    where, parameters = task_conditions(connection, task_filter)
    if by_failure := task_filter.by_failure:
        source = f"({_failing_tasks(task_filter)}) AS f JOIN roadmap_tasks t ON t.task_id = f.task_id"
        return Selection(source, where, {**parameters, **by_failure}, "f")
    return Selection("roadmap_tasks t", where, parameters, "t")


def _failing_tasks(task_filter: TaskFilter) -> str:
    """The tasks with such a failure, each once, in the list's order."""
    conditions = [f"{name} = :{name}" for name in task_filter.by_failure]
    if task_filter.user_id is not None:
        conditions.append("user_id = :user_id")
    # A task's rows of one code or type are neighbours in its index, so that the first page is found without
    # reading the others. In a group, a task has one row.
    once = "" if task_filter.group_id else "DISTINCT ON (created_at, task_id)"
    order = "" if task_filter.group_id else "ORDER BY created_at DESC, task_id DESC"
    return (
        f"SELECT {once} task_id, created_at FROM content_task_failures"
        f" WHERE {' AND '.join(conditions)} {order}"
    )


def task_conditions(connection: Connection, task_filter: TaskFilter) -> tuple[list[str], dict[str, Any]]:
    """The conditions on the task's own row `t`, and their parameters."""
    where: list[str] = []
    parameters: dict[str, Any] = {}
    if task_filter.status:
        statuses = {f"status_{number}": status for number, status in enumerate(task_filter.status)}
        # Not a subquery: its plan would read all tasks to count a thousand.
        where.append(f"t.status IN ({', '.join(f':{name}' for name in statuses)})")
        parameters |= statuses
    if task_filter.task_ids:
        where.append("t.task_id IN (SELECT json_array_elements_text(CAST(:task_ids AS json)))")
        parameters["task_ids"] = json.dumps(task_filter.task_ids)
    for name, condition in (
        ("user_id", "t.user_id = :user_id"),
        ("updated_after", f"t.updated_at >= {_local('updated_after')}"),
        ("updated_before", f"t.updated_at < {_local('updated_before')}"),
    ):
        if (value := getattr(task_filter, name)) is not None:
            where.append(condition)
            parameters[name] = value
    if task_filter.q is not None:
        parameters |= _prefixes(task_filter.q)
        few = _matches(connection, parameters) <= MAX_CANDIDATES
        # If many tasks match, reading in the list's order fills a page soon.
        where.append(f"t.task_id IN ({_CANDIDATES})" if few else f"({_MATCHES})")
    return where, parameters


# The prefixes of ids and of titles each use an index.
_CANDIDATES = """
(SELECT task_id FROM roadmap_tasks WHERE task_id LIKE :prefix LIMIT 10001)
UNION (SELECT task_id FROM roadmap_tasks WHERE "left"(roadmap_id, 100) LIKE :prefix LIMIT 10001)
UNION (SELECT n.task_id FROM roadmap_metadata m JOIN roadmap_tasks n ON "left"(n.roadmap_id, 100) =
    "left"(m.roadmap_id, 100) AND n.roadmap_id = m.roadmap_id
    WHERE "left"(lower(m.title), 100) LIKE :title_prefix LIMIT 10001)
"""

_MATCHES = """
t.task_id LIKE :prefix OR "left"(t.roadmap_id, 100) LIKE :prefix
OR EXISTS (SELECT FROM roadmap_metadata m
    WHERE m.roadmap_id = t.roadmap_id AND "left"(lower(m.title), 100) LIKE :title_prefix)
"""


def _prefixes(q: str) -> dict[str, str]:
    escaped = q[:100].replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return {"prefix": f"{escaped}%", "title_prefix": f"{escaped.lower()}%"}


def _matches(connection: Connection, parameters: Mapping[str, Any]) -> int:
    """The number of tasks with this prefix; above `MAX_CANDIDATES`, not exact."""
    return int(connection.scalar(text(f"SELECT count(*) FROM ({_CANDIDATES}) AS c"), parameters) or 0)


def read_page(
    connection: Connection, task_filter: TaskFilter, selection: Selection, after: Key | None, limit: int
) -> list[Any]:
    """One page of tasks after a position, with their largest groups of current failures.

    Several statuses are read from the index one by one, and merged.
    """
    page = _page_sql(task_filter, selection.after(after))
    parameters = {**selection.after(after).parameters, "limit": limit, "groups": MAX_GROUPS_OF_A_ROW}
    return list(connection.execute(text(f"WITH page AS MATERIALIZED ({page}) {_ROW}"), parameters))


def _page_sql(task_filter: TaskFilter, selection: Selection) -> str:
    order = f"ORDER BY {selection.order}.created_at DESC, {selection.order}.task_id DESC LIMIT :limit"
    columns = f"{selection.order}.task_id, {selection.order}.created_at"
    if len(task_filter.status) > 1 and selection.order == "t" and task_filter.user_id is None:
        others = [condition for condition in selection.where if not condition.startswith("t.status IN")]
        branches = [
            selection._replace(where=[f"t.status = :status_{number}", *others]).sql(columns)
            for number in range(len(task_filter.status))
        ]
        merged = " UNION ALL ".join(f"({branch} {order})" for branch in branches)
        return f"SELECT * FROM ({merged}) AS m ORDER BY created_at DESC, task_id DESC LIMIT :limit"
    return f"{selection.sql(columns)} {order}"


# One count per status, each with a limit. The statuses are found by one index lookup each.
COUNT_BY_STATUS = text("""
WITH RECURSIVE statuses AS (
    (SELECT status FROM roadmap_tasks ORDER BY status LIMIT 1)
    UNION ALL
    SELECT (SELECT t.status FROM roadmap_tasks t WHERE t.status > s.status ORDER BY t.status LIMIT 1)
    FROM statuses s WHERE s.status IS NOT NULL
)
SELECT s.status, (SELECT count(*) FROM (
    SELECT FROM roadmap_tasks t WHERE t.status = s.status LIMIT :counted) AS c) AS tasks
FROM statuses s WHERE s.status IS NOT NULL
""")

# PostgreSQL's estimate for each frequent status: those of its last ANALYZE.
ESTIMATE_BY_STATUS = text("""
SELECT v.status, CAST(v.frequency * c.reltuples AS bigint) AS tasks
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = 'status',
    LATERAL unnest(CAST(CAST(s.most_common_vals AS text) AS text[]), s.most_common_freqs)
        AS v(status, frequency)
WHERE c.oid = CAST('roadmap_tasks' AS regclass)
""")


def count_by_status(connection: Connection) -> dict[str, Total]:
    """The number of tasks per status."""
    rows = connection.execute(COUNT_BY_STATUS, {"counted": MAX_COUNTED + 1})
    counted: dict[str, int] = {row.status: row.tasks for row in rows}
    estimates: dict[str, int] = {}
    if any(tasks > MAX_COUNTED for tasks in counted.values()):
        estimates = {row.status: row.tasks for row in connection.execute(ESTIMATE_BY_STATUS)}
    return {
        status: Total(tasks, is_exact=True)
        if tasks <= MAX_COUNTED
        else Total(max(tasks, estimates.get(status, 0)), is_exact=False)
        for status, tasks in counted.items()
    }


def count_tasks(connection: Connection, selection: Selection) -> Total:
    """The number of tasks that a filter selects: counted up to `MAX_COUNTED`, otherwise estimated."""
    statement = selection.sql("1")
    limited = text(f"SELECT count(*) FROM ({statement} LIMIT :counted) AS c")
    counted = int(
        connection.execute(limited, {**selection.parameters, "counted": MAX_COUNTED + 1}).scalar_one()
    )
    if counted <= MAX_COUNTED:
        return Total(counted, is_exact=True)
    explain = text(f"EXPLAIN (FORMAT JSON) {statement}")
    plan = connection.execute(explain, selection.parameters).scalar_one()
    return Total(max(counted, int(plan[0]["Plan"]["Plan Rows"])), is_exact=False)
