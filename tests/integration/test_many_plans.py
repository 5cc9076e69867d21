"""Query plans of lists of many tasks: the server reads one page, not the whole table."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from roadmap_content.tasks.attempts import claimed_before
from roadmap_content.tasks.group_listing import read_groups
from roadmap_content.tasks.listing import (
    MAX_CANDIDATES,
    MAX_COUNTED,
    Key,
    TaskFilter,
    Total,
    count_by_status,
    count_tasks,
    read_page,
    select_tasks,
)
from tests.integration.pipeline import Pipeline

TASKS = 20_000
PAGE = 50
A_PAGE = 12 * PAGE
"""Maximum rows that are read for a page: the tasks, their roadmaps, and a few groups of each."""

SEED = (
    """
INSERT INTO roadmap_metadata (roadmap_id, user_id, title)
SELECT 'r-' || n, 'u-' || mod(n, 100), 'Roadmap ' || n FROM generate_series(1, :tasks) AS n
""",
    """
INSERT INTO roadmap_tasks (task_id, user_id, status, roadmap_id, created_at, attempt)
SELECT 't-' || n, 'u-' || mod(n, 100),
    CASE mod(n, 4) WHEN 0 THEN 'failed' WHEN 1 THEN 'partial_failure' ELSE 'completed' END,
    'r-' || n, timestamp '2026-01-01' + n * interval '1 second', 1
FROM generate_series(1, :tasks) AS n
""",
    """
INSERT INTO content_task_failures (task_id, group_id, attempt, error_code, stage, content_type, reason,
    transient, items, first_seen, last_seen, example_concept_id, example_reason, user_id, created_at)
SELECT task_id, concat('g', k, '-', length(task_id) + ascii(right(task_id, 1))), 1,
    'Error' || ascii(right(task_id, 1)), 'save', 'quiz', 'r', true, 1, created_at, created_at, 'c', 'r',
    user_id, created_at
FROM roadmap_tasks, generate_series(1, 2) AS k WHERE status <> 'completed'
""",
    """
INSERT INTO content_failure_groups
SELECT group_id, min(error_code), min(stage), min(content_type), min(reason), true, count(*), sum(items),
    min(first_seen), max(last_seen)
FROM content_task_failures GROUP BY group_id
""",
    """
INSERT INTO content_failure_hours
SELECT group_id, date_trunc('hour', last_seen), sum(items) FROM content_task_failures GROUP BY 1, 2
""",
)


@pytest.fixture
def many(pipeline: Pipeline, database_url: str) -> Pipeline:
    """A database with many tasks, half of them incomplete."""
    for statement in SEED:
        pipeline.execute(statement, **({"tasks": TASKS} if ":tasks" in statement else {}))
    with create_engine(database_url, isolation_level="AUTOCOMMIT", poolclass=NullPool).connect() as other:
        other.execute(text("VACUUM ANALYZE"))  # so that a count uses an index-only scan
    return pipeline


def rows_read(pipeline: Pipeline, read: Any) -> float:
    """The number of rows that the statements of `read` read from tables and indexes, by their plans."""
    statements: list[tuple[str, Any]] = []

    class Recorder:
        def __init__(self, connection: Any) -> None:
            self._connection = connection

        def execute(self, statement: Any, parameters: Any = None) -> Any:
            statements.append((statement.text, parameters))
            return self._connection.execute(statement, parameters)

        def scalar(self, statement: Any, parameters: Any = None) -> Any:
            statements.append((statement.text, parameters))
            return self._connection.scalar(statement, parameters)

    total = 0.0
    with pipeline.engine.connect() as connection:
        read(Recorder(connection))
        for statement, parameters in statements:
            if statement.startswith("EXPLAIN"):
                continue  # an estimate reads only statistics
            plan = connection.scalar(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}"), parameters)
            total += sum(_rows(node) for node in _nodes(plan[0]["Plan"]))
    return total


def _rows(node: dict[str, Any]) -> float:
    if "Relation Name" not in node:
        return 0
    removed = sum(rows for name, rows in node.items() if name.startswith("Rows Removed by"))
    return float((node["Actual Rows"] + removed) * node["Actual Loops"])


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", []):
        yield from _nodes(inner)


@pytest.mark.parametrize(
    "task_filter",
    [
        TaskFilter(),
        TaskFilter(status=("failed",)),
        TaskFilter(status=("failed", "partial_failure")),
        TaskFilter(error_code="Error52"),
        TaskFilter(content_type="quiz"),
        TaskFilter(group_id="g1-55"),
        TaskFilter(user_id="u-4"),
        TaskFilter(user_id="u-4", status=("failed",)),
    ],
    ids=str,
)
def test_reading_a_page_reads_only_the_rows_of_that_page(many: Pipeline, task_filter: TaskFilter) -> None:
    def read(connection: Any) -> None:
        selection = select_tasks(connection, task_filter)
        first = read_page(connection, task_filter, selection, None, PAGE)
        last = Key(first[-1].created_at, first[-1].task_id)
        read_page(connection, task_filter, selection, last, PAGE)

    assert rows_read(many, read) <= 2 * A_PAGE


def test_a_search_for_many_older_tasks_reads_each_newer_task_and_its_title_once(many: Pipeline) -> None:
    """More tasks match than are selected by the prefix: the page is read in the list's order."""
    matching = "task_id LIKE 't-1%'"
    many.execute(f"UPDATE roadmap_tasks SET created_at = created_at - interval '1 year' WHERE {matching}")
    (counted,) = many.rows(f"SELECT count(*) AS tasks FROM roadmap_tasks WHERE {matching}")
    assert counted["tasks"] > MAX_CANDIDATES
    found: list[Any] = []

    def read(connection: Any) -> None:
        task_filter = TaskFilter(q="t-1")
        selection = select_tasks(connection, task_filter)
        found.extend(read_page(connection, task_filter, selection, None, PAGE))

    # The prefix's own count, up to its limit, and then the newer tasks.
    assert rows_read(many, read) <= (MAX_CANDIDATES + 1) + 2 * (TASKS - counted["tasks"]) + A_PAGE
    assert all(row.task_id.startswith("t-1") for row in found)
    assert len(found) == PAGE


def test_a_list_of_groups_reads_only_the_sums(many: Pipeline) -> None:
    def read(connection: Any) -> None:
        assert len(read_groups(connection, TaskFilter(), None, PAGE)) > 10

    assert rows_read(many, read) <= 8 * A_PAGE  # the hours of a small installation are scanned


@pytest.mark.parametrize(
    ("task_filter", "tasks"),
    [
        (TaskFilter(), TASKS),
        (TaskFilter(status=("failed",)), TASKS // 4),
        (TaskFilter(status=("failed", "partial_failure")), TASKS // 2),
        (TaskFilter(content_type="quiz"), TASKS // 2),
        (TaskFilter(error_code="Error52"), TASKS // 20),
        (TaskFilter(user_id="u-4"), TASKS // 100),
    ],
    ids=str,
)
def test_a_count_ends_early(many: Pipeline, task_filter: TaskFilter, tasks: int) -> None:
    totals: list[Total] = []

    def read(connection: Any) -> None:
        totals.append(count_tasks(connection, select_tasks(connection, task_filter)))

    # At most two failures and the task. The EXPLAIN of an estimate is not executed.
    assert rows_read(many, read) <= 3 * (MAX_COUNTED + 1)
    assert totals[0].is_exact == (tasks <= MAX_COUNTED)
    if totals[0].is_exact:
        assert totals[0].tasks == tasks
    else:
        assert tasks / 1.5 < totals[0].tasks < tasks * 1.5


def test_counts_by_status_end_early(many: Pipeline) -> None:
    counts: dict[str, Total] = {}

    def read(connection: Any) -> None:
        counts.update(count_by_status(connection))

    assert rows_read(many, read) <= 3 * (MAX_COUNTED + 1) + 50
    assert counts.keys() == {"completed", "failed", "partial_failure"}
    assert TASKS / 2.2 < counts["completed"].tasks < TASKS / 1.8


def test_the_age_of_attempts_is_that_of_a_hundred(many: Pipeline) -> None:
    many.execute(
        "INSERT INTO content_attempts (task_id, attempt, actor, cause, step)"
        " SELECT task_id, 1, 'console', 'first_run', 'claimed' FROM roadmap_tasks"
    )
    found: list[bool] = []
    minutes = timedelta(minutes=20)
    assert rows_read(many, lambda connection: found.append(claimed_before(connection, minutes))) <= 100
    many.execute("UPDATE content_attempts SET claimed_at = claimed_at - interval '21 minutes'")
    with many.engine.connect() as connection:
        assert [*found, claimed_before(connection, minutes)] == [False, True]
