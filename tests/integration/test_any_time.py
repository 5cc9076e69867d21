"""A column of time of the product holds any time of PostgreSQL: infinity, before Christ, the year 294276."""

import pytest

from roadmap_content.state.tasks.time_zone import contradicts, time_ahead
from tests.support.factories import USER, bundle_of
from tests.support.pipeline import Pipeline
from tests.support.requests_to_api import OPERATOR, Ask

TIMES = ("infinity", "-infinity", "4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999")
TABLES = (
    "roadmap_tasks",
    "roadmap_metadata",
    "tutorial_metadata",
    "resource_recommendation_metadata",
    "quiz_metadata",
)
COLUMNS = """
SELECT table_name AS table, column_name AS column FROM information_schema.columns
WHERE table_schema = current_schema() AND table_name = ANY(:tables) AND data_type LIKE 'timestamp%'
    AND column_name <> 'deleted_at'
"""


@pytest.fixture(params=TIMES)
def any_time(request: pytest.FixtureRequest, pipeline: Pipeline) -> Pipeline:
    """A finished task and one that was never claimed, with this time in every column of the product."""
    for number in (1, 2):
        pipeline.load(bundle_of(["a"], roadmap_id=f"r-{number}", task_id=f"t-{number}"))
    pipeline.run()
    columns = pipeline.rows(COLUMNS, tables=list(TABLES))
    assert len(columns) >= 7
    for each in columns:
        pipeline.execute(
            f"UPDATE {each['table']} SET {each['column']} = CAST(:at AS timestamp)", at=request.param
        )
    return pipeline


def test_every_read_answers(any_time: Pipeline, ask: Ask) -> None:
    item = {"concept_id": "a"}
    for path, query in (
        ("/health", {}),
        ("/tasks", {"updated_after": "2020-01-01T00:00:00Z"}),
        ("/tasks", {}),
        ("/tasks/t-1", {}),
        ("/tasks/t-2", {}),
        ("/tasks/t-1/items", {}),
        ("/tasks/t-1/items/quiz", item),
        ("/tasks/t-1/items/quiz/revisions", item),
        ("/tasks/t-1/content/quiz", item),
        ("/tasks/t-1/attempts", {}),
        ("/tasks/t-1/changes", {}),
        ("/failures", {}),
    ):
        reply = ask("GET", path, query, **OPERATOR)
        assert reply.status == 200, (path, reply.body)


def test_a_sweep_a_retry_and_an_erasure_work(any_time: Pipeline, ask: Ask) -> None:
    any_time.sweep()
    any_time.execute("DELETE FROM quiz_metadata")
    assert ask("POST", "/tasks/t-1/retry", {"user_id": USER}).status == 202
    reply = ask("DELETE", "/users/-/content", {"exact": USER, "dry_run": "true"}, **OPERATOR)
    assert reply.status == 200, reply.body


def test_it_proves_nothing_about_the_zone(any_time: Pipeline) -> None:
    """Regression: the first adoption ended in an OverflowError."""
    with any_time.engine.connect() as connection:
        assert not contradicts(time_ahead(connection))
