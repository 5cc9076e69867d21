"""The product's local times are compared as instants, also beside the hour that a zone skips or repeats.

The zone of a test moves its clocks shortly before now: a zone of PostgreSQL may be a rule.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, text

from roadmap_content.contracts.api.filters import TaskFilter
from roadmap_content.runs.reconciliation.checks import finished_tasks, record_check
from roadmap_content.state.tasks.listing import read_page, select_tasks
from roadmap_content.state.tasks.task import read_task
from roadmap_content.state.tasks.time_zone import time_ahead
from roadmap_content.state.tasks.unfinished import count_stuck_tasks, processing_tasks
from tests.support.factories import bundle_of, concept_ids
from tests.support.pipeline import Pipeline

IDS = concept_ids(1)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
REPEATED, SKIPPED = "an hour is repeated", "an hour is skipped"

MoveClocks = Callable[[timedelta], None]
"""Moves the clocks this long ago."""


@pytest.fixture(params=[REPEATED, SKIPPED])
def clocks_moved(pipeline: Pipeline, request: pytest.FixtureRequest) -> MoveClocks:
    def move(ago: timedelta) -> None:
        at = datetime.now(UTC) - ago
        if request.param == REPEATED:
            begins, ends = at - timedelta(days=30), at + HOUR  # each in the local time that ends
        else:
            begins, ends = at, at + timedelta(days=30)
        rule = ",".join(f"{day.timetuple().tm_yday - 1}/{day:%H:%M:%S}" for day in (begins, ends))
        pipeline.execute(
            "CREATE OR REPLACE FUNCTION content_time_zone() RETURNS text LANGUAGE sql STABLE"
            f" AS $$ SELECT text 'STD0DST-1,{rule}' $$"
        )

    return move


def set_back(pipeline: Pipeline, table: str, column: str, ago: timedelta, task_id: str = "t-1") -> None:
    """Write the local time of a moment into a column of the product, or the moment into one of ours."""
    instant = "now() - CAST(:ago AS interval)"
    if table == "roadmap_tasks":
        instant = f"timezone(content_time_zone(), {instant})"
    pipeline.execute(f"UPDATE {table} SET {column} = {instant} WHERE task_id = :id", ago=ago, id=task_id)


def claim(pipeline: Pipeline, ago: timedelta) -> None:
    """Claim an attempt of a task, as it was claimed some time ago."""
    pipeline.load(bundle_of(IDS))
    pipeline.retry()
    set_back(pipeline, "roadmap_tasks", "updated_at", ago)
    set_back(pipeline, "roadmap_tasks", "created_at", ago + MINUTE)
    set_back(pipeline, "content_attempts", "claimed_at", ago)
    set_back(pipeline, "content_events", "recorded_at", ago)


def listed(connection: Connection, task_filter: TaskFilter) -> dict[str, datetime]:
    """The tasks of a filter, with the times of their updates that the API shows."""
    page = read_page(connection, select_tasks(connection, task_filter), None, 100)
    return {row.task_id: row.updated_at for row in page.rows}


def test_a_filter_selects_by_the_time_that_is_shown(pipeline: Pipeline, clocks_moved: MoveClocks) -> None:
    clocks_moved(30 * MINUTE)
    pipeline.execute(
        "INSERT INTO roadmap_tasks (task_id, user_id, status, created_at, updated_at)"
        " SELECT 't-' || n, 'u', 'completed', now(),"
        " timezone(content_time_zone(), now() - n * interval '7 minutes')"
        " FROM generate_series(0, 30) AS n"
    )
    # Also local times in the hour that is skipped, which a wrong clock can write.
    pipeline.execute(
        "INSERT INTO roadmap_tasks (task_id, user_id, status, created_at, updated_at)"
        " SELECT 'any-' || n, 'u', 'completed', now(), timezone('UTC', now()) + n * interval '7 minutes'"
        " FROM generate_series(-20, 20) AS n"
    )
    for minutes_ago in range(0, 180, 15):
        bound = datetime.now(UTC) - minutes_ago * MINUTE
        with pipeline.engine.connect() as connection:
            every = listed(connection, TaskFilter())
            after = listed(connection, TaskFilter(updated_after=bound))
            before = listed(connection, TaskFilter(updated_before=bound))
        assert len(every) == 72
        assert after.keys() == {task_id for task_id, updated_at in every.items() if updated_at >= bound}
        assert before.keys() == {task_id for task_id, updated_at in every.items() if updated_at < bound}


def processing(pipeline: Pipeline) -> Sequence[str]:
    with pipeline.engine.connect() as connection:
        return processing_tasks(connection, MINUTE, 10)


def test_a_sweep_leaves_an_attempt_that_was_just_claimed(
    pipeline: Pipeline, clocks_moved: MoveClocks
) -> None:
    clocks_moved(timedelta(seconds=20))
    claim(pipeline, ago=timedelta(seconds=40))
    assert processing(pipeline) == []
    for table, column in (("roadmap_tasks", "updated_at"), ("content_events", "recorded_at")):
        set_back(pipeline, table, column, 2 * MINUTE)
    assert processing(pipeline) == ["t-1"]


def test_a_task_without_progress_is_stuck_at_once(pipeline: Pipeline, clocks_moved: MoveClocks) -> None:
    clocks_moved(30 * MINUTE)
    claim(pipeline, ago=45 * MINUTE)
    with pipeline.engine.connect() as connection:
        assert count_stuck_tasks(connection, 40 * MINUTE, 10) == 1
        assert count_stuck_tasks(connection, 50 * MINUTE, 10) == 0


def test_an_attempt_lasts_since_its_claim(pipeline: Pipeline, clocks_moved: MoveClocks) -> None:
    clocks_moved(30 * MINUTE)
    claim(pipeline, ago=45 * MINUTE)
    with pipeline.engine.connect() as connection:
        age = datetime.now(UTC) - read_task(connection, "t-1").claimed_at
    assert 44 * MINUTE < age < 60 * MINUTE


def test_clocks_that_moved_do_not_prove_another_zone(pipeline: Pipeline, clocks_moved: MoveClocks) -> None:
    clocks_moved(30 * MINUTE)
    claim(pipeline, ago=45 * MINUTE)
    with pipeline.engine.connect() as connection:
        assert time_ahead(connection) == timedelta(0)
    set_back(pipeline, "roadmap_tasks", "created_at", -HOUR)
    with pipeline.engine.connect() as connection:
        assert time_ahead(connection) > timedelta(0)


def test_tasks_are_checked_in_the_order_of_their_waits(pipeline: Pipeline, clocks_moved: MoveClocks) -> None:
    """A task that was never checked waits since its last change, which is a local time of the product."""
    clocks_moved(30 * MINUTE)
    pipeline.execute("INSERT INTO roadmap_metadata (roadmap_id, user_id, title) VALUES ('r', 'u', 'T')")
    for task_id in ("changed", "checked"):
        pipeline.execute(
            "INSERT INTO roadmap_tasks (task_id, user_id, roadmap_id, status, attempt)"
            " VALUES (:id, 'u', 'r', 'failed', 1)",
            id=task_id,
        )
        set_back(pipeline, "roadmap_tasks", "updated_at", 120 * MINUTE, task_id)
    with pipeline.engine.begin() as connection:
        record_check(connection, "checked")
        connection.execute(
            text("UPDATE content_checks SET checked_at = checked_at - CAST(:ago AS interval)"),
            {"ago": 90 * MINUTE},
        )
        assert finished_tasks(connection) == ["changed", "checked"]
