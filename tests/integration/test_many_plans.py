"""Query plans of lists of many tasks: the server reads one page, not the whole table."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import NullPool, create_engine, text

from local_stack.database_roles import DatabaseRoles
from local_stack.postgres_server import Server
from roadmap_content.contracts.api.filters import TaskFilter
from roadmap_content.state.tasks import counting, listing
from roadmap_content.state.tasks.counting import Total, count_tasks
from roadmap_content.state.tasks.listing import ListedTasks, read_page, select_tasks
from tests.support.databases import copied_database
from tests.support.pipeline import Pipeline, services_for

pytestmark = pytest.mark.slow

TASKS = 20_000
PAGE = 50
A_PAGE = 12 * PAGE
"""Maximum rows that are read for a page: the tasks, their roadmaps, and a few groups of each."""

SEED = (
    f"""
INSERT INTO roadmap_metadata (roadmap_id, user_id, title)
SELECT 'r-' || n, 'u-' || mod(n, 100), 'Roadmap ' || n FROM generate_series(1, {TASKS}) AS n
""",
    f"""
INSERT INTO roadmap_tasks (task_id, user_id, status, roadmap_id, created_at, attempt)
SELECT 't-' || n, 'u-' || mod(n, 100),
    CASE mod(n, 4) WHEN 0 THEN 'failed' WHEN 1 THEN 'partial_failure' ELSE 'completed' END,
    'r-' || n, timestamp '2026-01-01' + n * interval '1 second', 1
FROM generate_series(1, {TASKS}) AS n
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
SELECT group_id, min(error_code), min(stage), min(reason), true, count(*), sum(items),
    json_build_object('quiz', sum(items)), min(first_seen), max(last_seen)
FROM content_task_failures GROUP BY group_id
""",
    """
INSERT INTO content_failure_hours
SELECT group_id, date_trunc('hour', last_seen), sum(items) FROM content_task_failures GROUP BY 1, 2
""",
)

OLD = "task_id LIKE 't-1%'"
"""More than half of the tasks."""

AGE = (
    f"UPDATE roadmap_tasks SET created_at = created_at - interval '1 year' WHERE {OLD}",
    f"""
UPDATE roadmap_tasks
SET updated_at = CASE WHEN {OLD} THEN timestamp '2026-01-01' ELSE timestamp '2026-06-01' END
""",
    """
UPDATE content_task_failures f SET created_at = t.created_at FROM roadmap_tasks t WHERE t.task_id = f.task_id
""",
)


def prepare(url: str, *statements: str) -> None:
    """Change a database, then vacuum it, so that a count uses an index-only scan."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        for statement in (*statements, "VACUUM ANALYZE"):
            connection.exec_driver_sql(statement)


@pytest.fixture(scope="module")
def many_template(database_server: Server, migrated_template: tuple[str, DatabaseRoles]) -> Iterator[str]:
    """A database with many tasks, half of them incomplete. A copy of it has its statistics."""
    with copied_database(database_server.url, migrated_template[0]) as (name, url):
        prepare(url, *SEED)
        yield name


@pytest.fixture(scope="module")
def old_matches_template(database_server: Server, many_template: str) -> Iterator[str]:
    """The same, with older tasks among them."""
    with copied_database(database_server.url, many_template) as (name, url):
        prepare(url, *AGE)
        yield name


@pytest.fixture
def old_matches(database_server: Server, old_matches_template: str) -> Iterator[Pipeline]:
    """Many tasks, of which more than half are older than the others."""
    with copied_database(database_server.url, old_matches_template) as (_, url):
        yield from opened(url)


def opened(url: str) -> Iterator[Pipeline]:
    """A pipeline on a database, and other connections to it for the test."""
    pipeline = Pipeline(services_for(url), engine=services_for(url).engine)
    yield pipeline
    pipeline.engine.dispose()
    pipeline.services.engine.dispose()


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
            total += sum(_rows(node) for node in nodes(plan[0]["Plan"]))
    return total


def _rows(node: dict[str, Any]) -> float:
    if "Relation Name" not in node:
        return 0
    removed = sum(rows for name, rows in node.items() if name.startswith("Rows Removed by"))
    return float((node["Actual Rows"] + removed) * node["Actual Loops"])


def nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", []):
        yield from nodes(inner)


FEW = 500
"""Maximum candidates, and tasks that a page reads, in the tests of constant bounds."""

CANDIDATES = 5 * (FEW + 1)
"""Maximum rows of counting candidates: ids, roadmaps' ids, titles with their tasks, and titles again."""


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "MAX_CANDIDATES", FEW)
    monkeypatch.setattr(listing, "MAX_SCANNED", FEW)
    monkeypatch.setattr(counting, "MAX_SCANNED", FEW)


LONG_AGO = datetime(2026, 2, 1, tzinfo=UTC)


FAILING = "EXISTS (SELECT FROM content_task_failures f WHERE f.task_id = t.task_id)"

PAGES: Sequence[tuple[TaskFilter, str]] = (
    (TaskFilter(q="t-1"), OLD),
    (TaskFilter(q="t-1", status=("failed", "partial_failure")), f"{OLD} AND status <> 'completed'"),
    (TaskFilter(q="t-1", error_code="Error52"), f"{OLD} AND right(task_id, 1) = '4' AND {FAILING}"),
    (TaskFilter(q="t-1", user_id="u-4"), f"{OLD} AND user_id = 'u-4'"),
    (TaskFilter(q="t-17", status=("failed",)), "task_id LIKE 't-17%' AND status = 'failed'"),
    (TaskFilter(q="Roadmap 17"), "task_id LIKE 't-17%'"),
    (TaskFilter(q="Roadmap 1"), OLD),
    (TaskFilter(q="Roadmap 1", status=("failed",)), f"{OLD} AND status = 'failed'"),
    (TaskFilter(updated_before=LONG_AGO), OLD),
    (TaskFilter(updated_before=LONG_AGO, status=("completed",)), f"{OLD} AND status = 'completed'"),
    (TaskFilter(error_code="Error52", status=("completed",)), "false"),
    (TaskFilter(error_code="Error52", content_type="tutorial"), "false"),
    (TaskFilter(user_id="u-4", error_code="Error52"), f"user_id = 'u-4' AND {FAILING}"),
    (TaskFilter(q="no such task"), "false"),
)
"""Filters, and the tasks that they select. The seeding takes longer than a case: all cases share it."""


@pytest.mark.usefixtures("few")
def test_a_page_has_a_constant_limit_on_the_rows_that_it_reads(old_matches: Pipeline) -> None:
    """The matching tasks are the oldest ones. The pages together list each of them, once and in order."""
    # The candidates, the tasks up to the end of the scan and with their titles, and the rows of the page.
    limit = CANDIDATES + 4 * FEW + 2 * A_PAGE
    for task_filter, condition in PAGES:
        wanted = old_matches.rows(
            f"SELECT task_id FROM roadmap_tasks t WHERE {condition} ORDER BY created_at DESC, task_id DESC"
        )
        pages: list[ListedTasks] = []

        def read(connection: Any) -> None:
            after = pages[-1].next_key if pages else None  # noqa: B023 - called within this turn
            selection = select_tasks(connection, task_filter)  # noqa: B023
            pages.append(read_page(connection, selection, after, 2 * PAGE))  # noqa: B023

        while not pages or (pages[-1].next_key is not None and len(pages) < 3):
            assert rows_read(old_matches, read) <= limit, task_filter
        with old_matches.engine.connect() as connection:
            while pages[-1].next_key is not None:
                read(connection)
        listed = [row.task_id for page in pages for row in page.rows]
        assert listed == [row["task_id"] for row in wanted], task_filter
        assert len(pages) <= 1 + TASKS / FEW + len(wanted) / (2 * PAGE), task_filter


IN_ORDER = (
    TaskFilter(status=("failed",)),
    TaskFilter(status=("failed", "cancelled")),
    TaskFilter(user_id="u-old"),
)


def test_an_index_returns_the_tasks_of_a_status_or_a_user_in_order(old_matches: Pipeline) -> None:
    """Of thousands, which are the oldest, a page reads the rows that it shows."""
    old_matches.execute("UPDATE roadmap_tasks SET status = 'completed'")
    old_matches.execute(f"UPDATE roadmap_tasks SET status = 'failed', user_id = 'u-old' WHERE {OLD}")
    for task_filter in IN_ORDER:

        def read(connection: Any) -> None:
            page = read_page(connection, select_tasks(connection, task_filter), None, PAGE)  # noqa: B023
            assert len(page.rows) == PAGE

        assert rows_read(old_matches, read) <= A_PAGE, task_filter


COUNTS: Sequence[tuple[TaskFilter, str]] = (
    (TaskFilter(q="t-1"), OLD),
    (TaskFilter(q="t-1", status=("failed",)), f"{OLD} AND status = 'failed'"),
    (TaskFilter(q="t-17"), "task_id LIKE 't-17%'"),
    (TaskFilter(q="Roadmap 1", status=("failed",)), f"{OLD} AND status = 'failed'"),
    (TaskFilter(q="t-1999", status=("failed",)), "task_id LIKE 't-1999%' AND status = 'failed'"),
    (TaskFilter(updated_before=LONG_AGO), OLD),
    (TaskFilter(user_id="u-4", status=("failed",)), "user_id = 'u-4' AND status = 'failed'"),
    (TaskFilter(error_code="Error52", status=("completed",)), "false"),
)


@pytest.mark.usefixtures("few")
def test_a_count_has_a_constant_limit_on_the_rows_that_it_reads(old_matches: Pipeline) -> None:
    for task_filter, condition in COUNTS:
        (wanted,) = old_matches.rows(f"SELECT count(*) AS tasks FROM roadmap_tasks t WHERE {condition}")
        totals: list[Total] = []

        def read(connection: Any) -> None:
            totals.append(count_tasks(connection, select_tasks(connection, task_filter)))  # noqa: B023

        assert rows_read(old_matches, read) <= CANDIDATES + 4 * FEW, task_filter
        if totals[0].is_exact:
            assert totals[0].tasks == wanted["tasks"], task_filter
        else:
            assert wanted["tasks"] / 2 <= totals[0].tasks <= 2 * max(wanted["tasks"], FEW), task_filter
