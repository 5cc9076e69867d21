"""When a scheduled sweep checks a finished task: after a change, and then more and more rarely."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from roadmap_content.platform.postgres.transactions import transact
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.runs.reconciliation.checks import FIRST_PAUSE, LONGEST_PAUSE, plan_checks, record_check
from roadmap_content.runs.reconciliation.reconcile import ReconcileResult
from tests.integration.test_pipeline import DELETIONS
from tests.support.factories import bundle_of, concept_ids
from tests.support.pipeline import Pipeline
from tests.support.prepared import prepare

IDS = concept_ids(2)


def sweep(pipeline: Pipeline, *, dry_run: bool = False) -> ReconcileResult:
    return pipeline.sweep(time=datetime.now(UTC), dry_run=dry_run)


def finish(pipeline: Pipeline) -> None:
    """A completed task with its next check far away."""
    prepare(pipeline, check_at_last)


def check_at_last(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(IDS))
    pipeline.run()
    assert sweep(pipeline).checked == 1
    pipeline.execute("UPDATE content_checks SET next_check_at = next_check_at + interval '30 days'")
    assert sweep(pipeline).checked == 0


CHANGES: Mapping[str, list[str]] = {
    "UPDATE roadmap_tasks SET status = 'failed'": ["status"],
    "UPDATE roadmap_tasks SET failed_concepts = '{\"count\": 1}'": ["failed_concepts"],
    """UPDATE roadmap_metadata SET framework_data =
        CAST(replace(CAST(framework_data AS text), 'completed', 'generating') AS json)""": ["framework_data"],
    """INSERT INTO tutorial_metadata (tutorial_id, concept_id, roadmap_id, title)
        SELECT 'new', min(concept_id), 'r-1', 'T' FROM quiz_metadata""": ["framework_data"],
    "UPDATE resource_recommendation_metadata SET resources = '[]', resources_count = 0": ["framework_data"],
    "DELETE FROM quiz_metadata": ["framework_data", "status", "failed_concepts", "execution_summary"],
}
"""The product's write, and the field of ours that differs then."""


def test_the_next_sweep_repairs_what_the_product_changes_once(pipeline: Pipeline) -> None:
    finish(pipeline)
    for change, changed in CHANGES.items():
        pipeline.execute("UPDATE content_checks SET next_check_at = next_check_at + interval '30 days'")
        assert sweep(pipeline).checked == 0
        pipeline.execute(change)
        state = pipeline.task(), pipeline.framework()
        dry = sweep(pipeline, dry_run=True)
        assert [(repair.task_id, repair.changed) for repair in dry.repairs] == [("t-1", changed)], change
        assert (pipeline.task(), pipeline.framework()) == state
        assert sweep(pipeline).repairs == dry.repairs
        assert sweep(pipeline).repairs == []


def test_several_changes_of_a_transaction_are_one_and_a_rolled_back_one_is_none(pipeline: Pipeline) -> None:
    finish(pipeline)
    with pipeline.engine.connect() as connection:
        connection.execute(text("DELETE FROM quiz_metadata"))
        connection.rollback()
    assert pipeline.rows("SELECT 1 FROM content_changes") == []
    with pipeline.engine.begin() as connection:
        savepoint = connection.begin_nested()
        connection.execute(text("DELETE FROM tutorial_metadata"))
        savepoint.rollback()
        connection.execute(text("DELETE FROM quiz_metadata"))
        connection.execute(text("UPDATE resource_recommendation_metadata SET resources_count = 1"))
    assert len(pipeline.rows("SELECT 1 FROM content_changes")) == 1


def test_a_run_records_no_change_but_its_end(pipeline: Pipeline) -> None:
    """The rows that it saves are checked after its end."""
    pipeline.load(bundle_of(IDS))
    pipeline.run()
    assert pipeline.rows("SELECT roadmap_id, task_id FROM content_changes") == [
        {"roadmap_id": "r-1", "task_id": "t-1"}
    ]


def test_the_pauses_of_an_unchanged_task_double_and_a_change_ends_them(pipeline: Pipeline) -> None:
    finish(pipeline)
    pauses = []
    for skipped in ("", "", ", pause = '16 days'", "", ""):
        pipeline.execute(f"UPDATE content_checks SET next_check_at = now(){skipped}")
        assert sweep(pipeline).checked == 1
        (row,) = pipeline.rows("SELECT next_check_at - checked_at AS pause FROM content_checks")
        pauses.append(row["pause"])
    assert pauses == [2 * FIRST_PAUSE, 4 * FIRST_PAUSE, timedelta(days=16), *[LONGEST_PAUSE] * 2]
    assert timedelta(days=30) == LONGEST_PAUSE
    pipeline.execute("UPDATE roadmap_tasks SET error_message = 'changed'")
    sweep(pipeline)
    (row,) = pipeline.rows("SELECT next_check_at - checked_at AS pause FROM content_checks")
    assert row["pause"] == FIRST_PAUSE


def test_the_pauses_of_a_task_that_no_change_has_planned_double_too(pipeline: Pipeline) -> None:
    finish(pipeline)
    pipeline.execute("DELETE FROM content_checks")
    pauses = []
    for _ in range(3):
        transact(pipeline.engine, record_check, Deadline.after(60), "t-1")
        (row,) = pipeline.rows("SELECT next_check_at - checked_at AS pause FROM content_checks")
        pauses.append(row["pause"])
    assert pauses == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]


def test_a_task_of_a_deleted_roadmap_is_not_due_until_the_roadmap_is_restored(pipeline: Pipeline) -> None:
    finish(pipeline)
    pipeline.execute("UPDATE roadmap_metadata SET deleted_at = now()")
    pipeline.execute("DELETE FROM quiz_metadata")
    assert (sweep(pipeline).checked, pipeline.rows("SELECT 1 FROM content_checks")) == (0, [])
    pipeline.execute("UPDATE roadmap_metadata SET deleted_at = NULL")
    assert len(sweep(pipeline).repairs) == 1


def test_a_task_is_checked_when_the_product_has_ended_its_work_on_the_roadmap(pipeline: Pipeline) -> None:
    finish(pipeline)
    pipeline.execute(
        "INSERT INTO roadmap_tasks (task_id, user_id, roadmap_id, status)"
        " VALUES ('its-own', 'u', 'r-1', 'processing')"
    )
    pipeline.execute("DELETE FROM quiz_metadata")
    assert sweep(pipeline).repairs == []
    assert sweep(pipeline).checked == 0  # its next check is planned, although this one was left
    pipeline.execute("UPDATE roadmap_tasks SET status = 'completed' WHERE task_id = 'its-own'")
    assert [repair.task_id for repair in sweep(pipeline).repairs] == ["t-1"]


def test_a_write_of_the_product_does_not_wait_for_a_check(pipeline: Pipeline) -> None:
    finish(pipeline)
    pipeline.execute("UPDATE roadmap_metadata SET title = 'changed'")
    with pipeline.services.engine.connect() as checking, ThreadPoolExecutor(1) as pool:
        assert plan_checks(checking, 1_000) == 1
        pool.submit(pipeline.execute, "DELETE FROM quiz_metadata").result(60)
    assert len(sweep(pipeline).repairs) == 1


@pytest.mark.parametrize("deletion", DELETIONS)
def test_an_attempt_that_waits_for_a_deleted_roadmap_ends(pipeline: Pipeline, deletion: str) -> None:
    pipeline.load(bundle_of(["a"]) | {"content": []})
    pipeline.execute("UPDATE content_capacity SET stopped_reason = 'the bill'")
    pipeline.retry()
    pipeline.execute("UPDATE roadmap_tasks SET updated_at = updated_at - interval '1 hour'")
    assert sweep(pipeline).repairs == []
    pipeline.execute(deletion)
    assert [repair.status for repair in sweep(pipeline).repairs] == ["failed"]
    assert pipeline.rows("SELECT state FROM content_queue") == [{"state": "ended"}]
    assert pipeline.task()["error_message"].startswith("RoadmapNotFound: ")
    assert sweep(pipeline).repairs == []
