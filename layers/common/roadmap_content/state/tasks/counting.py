"""Numbers of tasks. A large number is PostgreSQL's estimate, so that the time does not grow with it."""

from typing import NamedTuple

from sqlalchemy import Connection, text

from .listing import MAX_SCANNED, STATUS_DIGEST, Selection

MAX_COUNTED = 1_000
"""Totals are counted up to this number. For a larger total, PostgreSQL's estimate is returned, so that the
time does not grow with the number of tasks.
"""


class Total(NamedTuple):
    tasks: int
    is_exact: bool
    """If not, `tasks` is PostgreSQL's estimate, from its statistics."""


# Counts the tasks of each status up to a limit. The recursion finds each status by one lookup in the index of
# their digests: the smallest one, and then the next larger one. A range with its order is counted through the
# index, too. For an equality, PostgreSQL may read the whole table, which would be slow for a rare status.
COUNT_BY_STATUS = text(f"""
WITH RECURSIVE statuses AS (
    (SELECT {STATUS_DIGEST} AS digest, t.status FROM roadmap_tasks t ORDER BY 1 LIMIT 1)
    UNION ALL
    SELECT following.digest, following.status FROM statuses s CROSS JOIN LATERAL (
        SELECT {STATUS_DIGEST} AS digest, t.status FROM roadmap_tasks t
        WHERE {STATUS_DIGEST} > s.digest ORDER BY 1 LIMIT 1) AS following
)
SELECT s.status, (SELECT count(*) FROM (
    SELECT FROM roadmap_tasks t WHERE {STATUS_DIGEST} BETWEEN s.digest AND s.digest
    ORDER BY {STATUS_DIGEST} LIMIT :counted) AS c) AS tasks
FROM statuses s WHERE s.status IS NOT NULL
""")

# Reads PostgreSQL's estimate of the tasks of each frequent status, from its last ANALYZE: the status's share
# of the rows. The cast by way of text reads a column of type `anyarray`.
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
    rows = connection.execute(COUNT_BY_STATUS, {"counted": MAX_COUNTED + 1})
    counted: dict[str, int] = {row.status: row.tasks for row in rows}
    estimates: dict[str, int] = {}
    if any(tasks > MAX_COUNTED for tasks in counted.values()):
        estimates = {row.status: row.tasks for row in connection.execute(ESTIMATE_BY_STATUS)}
    totals = {}
    for status, tasks in counted.items():
        is_exact = tasks <= MAX_COUNTED
        totals[status] = Total(tasks if is_exact else max(tasks, estimates.get(status, 0)), is_exact)
    return totals


def count_tasks(connection: Connection, selection: Selection) -> Total:
    """The number of tasks that a filter selects. Counted up to `MAX_COUNTED`, or by reading at most
    `MAX_SCANNED` tasks; otherwise estimated.
    """
    if selection.is_small:
        count = connection.execute(text(selection.sql("count(*)")), selection.parameters).scalar_one()
        return Total(int(count), is_exact=True)
    count_some = _count_checked if selection.checked else _count_served
    counted = count_some(connection, selection)
    if counted.is_exact:
        return counted
    explain = text(f"EXPLAIN (FORMAT JSON) {selection.sql('1')}")
    plan = connection.execute(explain, selection.parameters).scalar_one()
    return Total(max(counted.tasks, int(plan[0]["Plan"]["Plan Rows"])), is_exact=False)


def _count_served(connection: Connection, selection: Selection) -> Total:
    """Count a selection whose conditions an index serves, up to one above `MAX_COUNTED`. With failures, their
    own table is counted first, which is fast: the tasks are only read if it has no more than that.
    """
    statements = [selection.sql("1")]
    if selection.without_tasks is not None:
        statements.insert(0, selection.without_tasks)
    counted = 0
    for statement in statements:
        limited = text(f"SELECT count(*) FROM ({statement} LIMIT :counted) AS c")
        parameters = {**selection.parameters, "counted": MAX_COUNTED + 1}
        counted = int(connection.execute(limited, parameters).scalar_one())
        if counted > MAX_COUNTED:
            break
    return Total(counted, counted <= MAX_COUNTED)


def _count_checked(connection: Connection, selection: Selection) -> Total:
    """Count among the first `MAX_SCANNED` tasks; the count is exact if there are no others."""
    # The columns of the checks.
    columns = f"{selection.order}.created_at, t.task_id, t.user_id, t.status, t.roadmap_id, t.updated_at"
    scanned = selection.in_order(columns, MAX_SCANNED + 1, checked=False)
    checks = " AND ".join(condition.of_row for condition in selection.checked)
    statement = text(
        f"SELECT count(*) AS scanned, count(*) FILTER (WHERE {checks}) AS counted FROM ({scanned}) AS t"
    )
    row = connection.execute(statement, selection.parameters).one()
    return Total(row.counted, row.scanned <= MAX_SCANNED)
