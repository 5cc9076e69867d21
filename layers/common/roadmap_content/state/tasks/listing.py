"""Lists of tasks: the filter, and statements that read a page without reading the pages before it, and with a
constant limit on the rows that are read.

A page is ordered by the task's creation, the newest first. This order never changes, so a task is listed
once, even if it is updated between two pages.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from ...contracts.api.filters import TaskFilter
from .time_zone import WIDEST_SHIFT, instant, local

MAX_CANDIDATES = 10_000
"""Up to this number, tasks with a prefix, or updated in a period, are selected by an index on the prefix or
the time; more are found by reading in the list's order.
"""

MAX_SCANNED = 10_000
"""Tasks that one page reads in the list's order to find those that meet all conditions."""

MAX_GROUPS_OF_A_ROW = 20
"""Failure groups of a task, the largest, in its row of a list."""

STATUS_DIGEST = "hash_array_extended(ARRAY[t.status], 0)"
"""The key of the index of statuses, whose entries have a limit."""

HAS_ROADMAP = """EXISTS (SELECT FROM roadmap_metadata l
    WHERE l.roadmap_id = t.roadmap_id AND l.deleted_at IS NULL)"""
"""Whether a task `t` has a roadmap that is not deleted: only then, the sweep checks and retries it."""

ROADMAP_IS_DELETED = """((t.roadmap_id IS NOT NULL OR t.attempt > 0) AND (SELECT l.deleted_at IS NOT NULL
    FROM roadmap_metadata l WHERE l.roadmap_id = t.roadmap_id) IS NOT FALSE)"""
"""Whether the roadmap of a task `t` was deleted, softly or with its row (NULL). A task of the product has
none before it has made one. Not `EXISTS`: for a page of a list, PostgreSQL would read all roadmaps.
"""


def of_roadmap(tasks: str, roadmap_id: str) -> str:
    """The condition of a roadmap's tasks, which the index of 100 characters of its id serves. `tasks` is the
    alias of `roadmap_tasks`, `roadmap_id` an expression.
    """
    own = f"{tasks}.roadmap_id"
    return (
        f'"left"({own}, 100) COLLATE "C" = "left"(CAST({roadmap_id} AS text), 100) AND {own} = {roadmap_id}'
    )


def of_status(status: str) -> str:
    """The condition of tasks `t` with a status, which the index serves. The empty array gives the value the
    type and the collation of the column. `nullif` makes the planner expect that the comparison is true.
    """
    array = f"array_append(ARRAY(SELECT status FROM roadmap_tasks LIMIT 0), {status})"
    digest = f"hash_array_extended({array}, 0)"
    return f"{STATUS_DIGEST} = {digest} AND nullif(t.status = {status}, false) IS NOT NULL"


class Key(NamedTuple):
    """The position of a task in a list."""

    created_at: datetime
    """The value of the column. It is not converted to UTC and back: in a zone with daylight saving, a time in
    the skipped hour would not come back, and the list would never end.
    """

    task_id: str


class Condition(NamedTuple):
    """A condition on a task's row `t` that no index serves in the list's order."""

    of_row: str
    """The form that is fast for one task after the other, in the list's order."""

    of_set: str
    """The form that is fast for all tasks at once, for a count. It selects the same tasks."""


class Selection(NamedTuple):
    """The tasks that a filter selects, as the parts of a statement. An index serves `where` and `statuses` in
    the list's order. For `checked`, a page and a count read at most `MAX_SCANNED` tasks.
    """

    source: str
    """A FROM with the task's row `t`."""

    where: Sequence[str]
    checked: Sequence[Condition]
    parameters: Mapping[str, Any]
    order: str = "t"
    """The alias of the table that determines the order."""

    statuses: Sequence[str] = ()
    """Names of parameters. Each status is read from the index by itself."""

    is_small: bool = False
    """`source` has at most `MAX_CANDIDATES` rows."""

    without_tasks: str | None = None
    """The same tasks, and tasks that were deleted recently, without reading their rows."""

    def within(self, after: Key | None, end: Key | None) -> "Selection":
        """The part of the list after a position, up to and including another one; the newest first."""
        where, parameters = list(self.where), dict(self.parameters)
        for name, sign, key in (("after", "<", after), ("end", ">=", end)):
            if key is not None:
                where.append(
                    f"({self.order}.created_at, {self.order}.task_id)"
                    f" {sign} (CAST(:{name}_created_at AS timestamp), :{name}_task_id)"
                )
                parameters |= {f"{name}_created_at": key.created_at, f"{name}_task_id": key.task_id}
        return self._replace(where=where, parameters=parameters)

    def sql(self, columns: str) -> str:
        """A SELECT of these columns, in no order."""
        where = [*self.where, *(condition.of_set for condition in self.checked)]
        if self.statuses:
            # Not a subquery: its plan would read all tasks to count a thousand.
            where.append(f"t.status IN ({', '.join(f':{name}' for name in self.statuses)})")
        return f"SELECT {columns} FROM {self.source} WHERE {' AND '.join(where) or 'true'}"

    def in_order(self, columns: str, limit: int | str, *, checked: bool, offset: int = 0) -> str:
        """A SELECT of these columns in the list's order, with or without the checked conditions. `columns`
        begins with the position. `limit` is a number or a parameter.
        """
        where = [*self.where, *(condition.of_row for condition in self.checked if checked)]
        order = f"ORDER BY {self.order}.created_at DESC, {self.order}.task_id DESC"
        # One branch per status, because an index returns each in order. Any one may have the whole page.
        of_statuses = [[*where, of_status(f":{name}")] for name in self.statuses] or [where]
        branches = [
            f"SELECT {columns} FROM {self.source} WHERE {' AND '.join(conditions) or 'true'} {order}"
            for conditions in of_statuses
        ]
        place = f"LIMIT {limit} OFFSET {offset}"
        if len(branches) == 1:
            return f"{branches[0]} {place}"
        merged = " UNION ALL ".join(f"({branch} LIMIT {limit} + {offset})" for branch in branches)
        return f"SELECT * FROM ({merged}) AS m ORDER BY created_at DESC, task_id DESC {place}"


# The end of a statement that reads a list's rows: those of the tasks in `page`. Times are local times of the
# database's owner in the columns, and instants in the list. Without an attempt, `execution_arn` is the mark
# of an erasure. `groups` are the largest groups of current failures.
_ROW = f"""
SELECT t.task_id, t.roadmap_id, r.title, t.user_id, t.status, t.current_step, t.attempt,
    t.attempt = 0 AND t.execution_arn IS NOT NULL AS erased,
    {instant("t.updated_at")} AS updated_at,
    {instant("t.created_at")} AS created_at,
    {instant("t.completed_at")} AS completed_at,
    CAST(t.execution_summary AS text) AS execution_summary, f.groups, p.created_at AS position,
    a.task_id IS NOT NULL AND a.ended_at IS NULL AS attempt_is_open, a.next_at, q.state AS queue_state,
    q.grants, {ROADMAP_IS_DELETED} AS roadmap_is_deleted
FROM page p JOIN roadmap_tasks t USING (task_id) LEFT JOIN roadmap_metadata r ON r.roadmap_id = t.roadmap_id
LEFT JOIN content_attempts a ON (a.task_id, a.attempt) = (t.task_id, t.attempt)
LEFT JOIN content_queue q ON (q.task_id, q.attempt) = (t.task_id, t.attempt)
LEFT JOIN LATERAL (
    SELECT json_agg(json_build_object('error_code', error_code, 'stage', stage, 'reason', reason,
        'items', items, 'content_type', content_type, 'group_id', group_id)
        ORDER BY items DESC, group_id) AS groups
    FROM (SELECT * FROM content_task_failures g WHERE g.task_id = t.task_id
        ORDER BY items DESC, group_id LIMIT :groups) AS g) AS f ON true
ORDER BY p.created_at DESC, p.task_id DESC
"""


def select_tasks(connection: Connection, task_filter: TaskFilter) -> Selection:
    """The selection for a page or a count. Few candidates of one condition are looked up one by one; if there
    are more, the tasks are read in the list's order.
    """
    conditions, parameters = task_conditions(task_filter)
    for name, candidates in _candidates(task_filter).items():
        # The ids of a request are few.
        if name == "task_ids" or _count_candidates(connection, candidates, parameters) <= MAX_CANDIDATES:
            others = [condition for other, condition in conditions.items() if other != name]
            # `OFFSET 0` forces one index lookup per candidate. Otherwise a page of 50 may be read in the
            # list's order, which reads every newer task.
            source = (
                f"(SELECT DISTINCT task_id FROM ({candidates.sql}) AS a) AS c CROSS JOIN LATERAL"
                " (SELECT * FROM roadmap_tasks o WHERE o.task_id = c.task_id OFFSET 0) AS t"
            )
            return Selection(
                source, [condition.of_row for condition in others], (), parameters, is_small=True
            )
    return select_every_task(task_filter)


def select_every_task(task_filter: TaskFilter) -> Selection:
    """The selection that reads in the list's order, for any number of tasks."""
    conditions, parameters = task_conditions(task_filter)
    served, selection = _in_order_of_an_index(task_filter)
    checked = [condition for name, condition in conditions.items() if name not in served]
    return selection._replace(checked=checked, parameters=parameters)


def _in_order_of_an_index(task_filter: TaskFilter) -> tuple[Collection[str], Selection]:
    """The names of the conditions that an index serves in the list's order, and the selection by them."""
    if task_filter.user_id is not None:
        return ["user_id"], Selection("roadmap_tasks t", [_OF_USER], (), {})
    if task_filter.by_failure:
        # Each task once. Its rows are neighbours in the index, so a page is found without the others. An
        # index serves the first of several conditions; then all are checked.
        name = next(iter(task_filter.by_failure))
        failing = (
            "SELECT DISTINCT ON (created_at, task_id) task_id, created_at FROM content_task_failures"
            f" WHERE {name} = :{name} ORDER BY created_at DESC, task_id DESC"
        )
        source = f"({failing}) AS f JOIN roadmap_tasks t ON t.task_id = f.task_id"
        served = ["failure"] if len(task_filter.by_failure) == 1 else []
        return served, Selection(source, (), (), {}, order="f", without_tasks=failing)
    if task_filter.status:
        statuses = [f"status_{number}" for number in range(len(task_filter.status))]
        return ["status"], Selection("roadmap_tasks t", (), (), {}, statuses=statuses)
    return [], Selection("roadmap_tasks t", (), (), {})


def task_conditions(task_filter: TaskFilter) -> tuple[dict[str, Condition], dict[str, Any]]:
    """The conditions on the task's row `t` by name (`failure`: on current failures), and their parameters."""
    conditions: dict[str, str] = {}
    parameters: dict[str, Any] = {}
    if task_filter.status:
        statuses = {f"status_{number}": status for number, status in enumerate(task_filter.status)}
        conditions["status"] = f"t.status IN ({', '.join(f':{name}' for name in statuses)})"
        parameters |= statuses
    if task_filter.task_ids:
        conditions["task_ids"] = f"t.task_id IN ({_LISTED_IDS})"
        parameters["task_ids"] = json.dumps(task_filter.task_ids)
    if task_filter.user_id is not None:
        conditions["user_id"] = "t.user_id = :user_id"
        parameters["user_id"] = task_filter.user_id
    if updated := _condition_of_update(task_filter):
        conditions["updated"] = updated
        bounds = {"updated_after": task_filter.updated_after, "updated_before": task_filter.updated_before}
        parameters |= {name: bound for name, bound in bounds.items() if bound is not None}
    by_name = {name: Condition(condition, condition) for name, condition in conditions.items()}
    if task_filter.by_failure:
        matches = " AND ".join(f"e.{name} = :{name}" for name in task_filter.by_failure)
        failing = f"SELECT FROM content_task_failures e WHERE e.task_id = t.task_id AND {matches}"
        by_name["failure"] = Condition(f"EXISTS ({failing} OFFSET 0)", f"EXISTS ({failing})")
        parameters |= task_filter.by_failure
    if task_filter.q is not None:
        by_name["q"] = Condition(f"({_HAS_PREFIX})", f"t.task_id IN ({_tasks_with_prefix(None)})")
        escaped = task_filter.q.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        parameters |= {"prefix": f"{escaped}%", "title_prefix": f"{escaped.lower()}%"}
    return by_name, parameters


def _condition_of_update(task_filter: TaskFilter) -> str:
    """The condition on a task's last update; empty if there is none. Instants are compared. The comparison of
    local times, which is wider, can use the index.
    """
    conditions = []
    for name, sign, wider in (("updated_after", ">=", "-"), ("updated_before", "<", "+")):
        if getattr(task_filter, name) is not None:
            bound = f"CAST(:{name} AS timestamptz)"
            conditions.append(f"t.updated_at {sign} {local(bound)} {wider} {WIDEST_SHIFT}")
            # `nullif` makes the planner expect that it is true, and estimate the rows by the first condition.
            conditions.append(f"nullif({instant('t.updated_at')} {sign} {bound}, false) IS NOT NULL")
    return " AND ".join(conditions)


class _Candidates(NamedTuple):
    """The tasks that meet one condition, by an index of its own. The statement for a prefix looks it up in
    three columns, in each up to `MAX_CANDIDATES` + 1 rows.
    """

    sql: str
    or_more: str = "SELECT WHERE false"
    """A statement that also returns more than `MAX_CANDIDATES` rows if `sql` is not complete."""


# As in the indexes, whose entries have a limit: a user's digest, and 100 characters of other texts, with a
# collation that has LIKE. `nullif` makes the planner expect that the comparison of users is true.
_OF_USER = (
    'hashtextextended(CAST(t.user_id AS text) COLLATE "C", 0) = hashtextextended(:user_id COLLATE "C", 0)'
    " AND nullif(t.user_id = :user_id, false) IS NOT NULL"
)
_TASK = '"left"(CAST({}task_id AS text), 100) COLLATE "C"'
_ROADMAP = '"left"({}roadmap_id, 100) COLLATE "C"'
_TITLE = '"left"(lower({}title), 100) COLLATE "C"'


def _tasks_with_prefix(limit: int | None) -> str:
    """The statement that finds the tasks whose id, roadmap's id or title begins with the prefix, at most
    `limit` by each index. With a LIMIT, the order makes the planner choose the index: it would otherwise
    expect a sequential scan to find the rows soon.
    """

    def first(column: str) -> str:
        return "" if limit is None else f"ORDER BY {column.format('')} USING ~<~ LIMIT {limit}"

    return f"""
(SELECT task_id FROM roadmap_tasks WHERE {_TASK.format("")} LIKE :prefix {first(_TASK)})
UNION (SELECT task_id FROM roadmap_tasks WHERE {_ROADMAP.format("")} LIKE :prefix {first(_ROADMAP)})
UNION (SELECT n.task_id FROM (SELECT roadmap_id FROM roadmap_metadata
        WHERE {_TITLE.format("")} LIKE :title_prefix {first(_TITLE)}) AS m
    CROSS JOIN LATERAL (SELECT o.task_id FROM roadmap_tasks o WHERE {of_roadmap("o", "m.roadmap_id")}
        OFFSET 0) AS n {"" if limit is None else f"LIMIT {limit}"})
"""


# Whether a task `t` is one of these. `OFFSET 0` forces one index lookup per task, in place of a hash of all
# matching titles.
_HAS_PREFIX = f"""
{_TASK.format("t.")} LIKE :prefix OR {_ROADMAP.format("t.")} LIKE :prefix
OR EXISTS (SELECT FROM roadmap_metadata m
    WHERE m.roadmap_id = t.roadmap_id AND {_TITLE.format("m.")} LIKE :title_prefix OFFSET 0)
"""

_LISTED_IDS = "SELECT json_array_elements_text(CAST(:task_ids AS json)) AS task_id"


def _candidates(task_filter: TaskFilter) -> dict[str, _Candidates]:
    """The conditions that have an index of their own, in another order than the list's."""
    candidates: dict[str, _Candidates] = {}
    limit = MAX_CANDIDATES + 1
    if task_filter.task_ids:
        candidates["task_ids"] = _Candidates(_LISTED_IDS)
    if task_filter.q is not None:
        # The roadmaps with the prefix, which may have no task.
        titled = f"""
SELECT FROM roadmap_metadata WHERE {_TITLE.format("")} LIKE :title_prefix
ORDER BY {_TITLE.format("")} USING ~<~ LIMIT {limit}
"""
        candidates["q"] = _Candidates(_tasks_with_prefix(limit), titled)
    if updated := _condition_of_update(task_filter):
        candidates["updated"] = _Candidates(
            f"SELECT t.task_id FROM roadmap_tasks t WHERE {updated} ORDER BY t.updated_at LIMIT {limit}"
        )
    return candidates


def _count_candidates(connection: Connection, candidates: _Candidates, parameters: Mapping[str, Any]) -> int:
    """The number of candidates; above `MAX_CANDIDATES`, not exact."""
    statement = (
        f"SELECT greatest((SELECT count(*) FROM ({candidates.sql}) AS c),"
        f" (SELECT count(*) FROM ({candidates.or_more}) AS m))"
    )
    return int(connection.scalar(text(statement), parameters) or 0)


class ListedTasks(NamedTuple):
    """One page of tasks, with their largest groups of current failures."""

    rows: Sequence[Any]
    next_key: Key | None
    """The position after which the list continues; `None` after its last page."""


def read_page(connection: Connection, selection: Selection, after: Key | None, limit: int) -> ListedTasks:
    """One page of tasks after a position.

    Of conditions that no index serves in the list's order, a page checks `MAX_SCANNED` tasks. It may then
    have fewer rows than `limit`, or none, and the list still continues.
    """
    # First, so that a task that is created meanwhile does not move the end, and no task is listed twice.
    end = _end_of_scan(connection, selection.within(after, None)) if selection.checked else None
    part = selection.within(after, end)
    columns = f"{selection.order}.created_at, {selection.order}.task_id"
    page = part.in_order(columns, ":limit", checked=True)
    parameters = {**part.parameters, "limit": limit + 1, "groups": MAX_GROUPS_OF_A_ROW}
    rows = connection.execute(text(f"WITH page AS MATERIALIZED ({page}) {_ROW}"), parameters).all()
    if len(rows) > limit:
        return ListedTasks(rows[:limit], Key(rows[limit - 1].position, rows[limit - 1].task_id))
    return ListedTasks(rows, end)


def _end_of_scan(connection: Connection, selection: Selection) -> Key | None:
    """The last position that a page reads; `None` if fewer tasks than `MAX_SCANNED` are left."""
    columns = f"{selection.order}.created_at, {selection.order}.task_id"
    if selection.without_tasks is not None:  # the position needs no row of a task
        selection = selection._replace(source=f"({selection.without_tasks}) AS f")
    last = selection.in_order(columns, 1, checked=False, offset=MAX_SCANNED - 1)
    statement = text(f"SELECT created_at, task_id FROM ({last}) AS l")
    row = connection.execute(statement, selection.parameters).one_or_none()
    return None if row is None else Key(row.created_at, row.task_id)
