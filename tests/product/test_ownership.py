"""The product's data is changed only by a request for that task. Each case was once a defect."""

from datetime import timedelta

import pytest

from migrations.installation import restore
from roadmap_content.api.cancel import cancel_task
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.contracts.errors import (
    AtWorkElsewhereError,
    NotAtContentStageError,
    RoadmapNotFoundError,
)
from roadmap_content.contracts.items import ContentType
from roadmap_content.contracts.payloads import Execution, RunInput
from roadmap_content.runs.reconciliation.checks import finished_tasks
from roadmap_content.runs.reconciliation.execution_end import ExecutionEnd
from roadmap_content.runs.steps.finalize import FinalizeRequest, record_run_end
from roadmap_content.runs.steps.plan import PlanRequest, plan_batches
from roadmap_content.state.tasks.scope import Scope
from roadmap_content.state.tasks.unfinished import processing_tasks
from tests.product.product import NOW, Product
from tests.product.running import deadline, findings_of, heal, retry, run, sweep
from tests.support.factories import USER
from tests.support.pipeline import Pipeline

CONCEPTS = ["r-1:c-1", "r-1:c-2", "r-1:c-3"]


def rows_of_every_kind(product: Product) -> None:
    product.roadmap("r-1", CONCEPTS)
    product.roadmap("r-deleted", ["r-deleted:c-1"], deleted=True)
    product.roadmap("r-done", ["r-done:c-1"])
    product.complete("r-done", "r-done:c-1")
    product.complete("r-1", "r-1:c-1")
    product.task("t-at-work", "processing", roadmap_id="r-1", celery="celery-1")
    product.task("t-queued", "pending", roadmap_id="r-1", celery="celery-2", step="content_generation_queued")
    product.task(
        "t-one-concept",
        "completed",
        roadmap_id="r-1",
        step="completed",
        task_type="retry_tutorial",
        concept_id="r-1:c-1",
        content_type="tutorial",
    )
    product.task("t-deleted", "completed", roadmap_id="r-deleted", step="completed")
    product.task("t-designing", "processing", step="curriculum_design", celery="celery-3")
    product.task("t-waiting", "human_review_pending", roadmap_id="r-1", step="human_review")
    product.task("t-cancelled", "cancelled", roadmap_id="r-1")
    product.task("t-failed", "failed", roadmap_id="r-1")
    product.task("t-partial", "partial_failure", roadmap_id="r-1")
    product.task("t-pending", "pending", roadmap_id="r-1")


def test_a_sweep_does_not_even_select_a_task_of_the_product(pipeline: Pipeline, adopted: Product) -> None:
    rows_of_every_kind(adopted)
    with pipeline.engine.connect() as connection:
        assert processing_tasks(connection, timedelta(0), 100) == []
        assert finished_tasks(connection) == []


def test_a_sweep_does_not_change_a_task_of_ours_that_the_product_is_processing(
    pipeline: Pipeline, adopted: Product
) -> None:
    """It has queued the task again after our attempt, and its user has deleted the roadmap of another
    task.
    """
    for roadmap_id in ("r-1", "r-2"):
        adopted.roadmap(roadmap_id, [f"{roadmap_id}:c-1"])
    adopted.task("t-1", "failed", roadmap_id="r-1", celery="celery-1")
    adopted.task("t-2", "failed", roadmap_id="r-2")
    for task_id in ("t-1", "t-2"):
        heal(pipeline.services, task_id)
    adopted.execute("DELETE FROM quiz_metadata")
    adopted.execute(
        "UPDATE roadmap_tasks SET status = 'processing', celery_task_id = 'celery-2', "
        f"updated_at = {NOW} - interval '1 hour' WHERE task_id = 't-1'"
    )
    adopted.execute(f"UPDATE roadmap_metadata SET deleted_at = {NOW} WHERE roadmap_id = 'r-2'")
    before = adopted.everything()

    sweep(pipeline.services)
    with pytest.raises(AtWorkElsewhereError):
        retry(pipeline.services, "t-1")

    assert adopted.everything() == before


@pytest.mark.parametrize(
    "deletion",
    [
        f"UPDATE roadmap_metadata SET deleted_at = {NOW}",
        "DELETE FROM roadmap_metadata",
        "UPDATE roadmap_tasks SET roadmap_id = NULL",
    ],
)
def test_a_finished_task_whose_roadmap_is_deleted_stays_as_it_is(
    pipeline: Pipeline, adopted: Product, deletion: str
) -> None:
    """The product deletes it for good with its rows; a foreign key may set the task's column to NULL."""
    adopted.failed(CONCEPTS)
    answer = heal(pipeline.services)
    regeneration = retry(pipeline.services, scope=Scope(regenerate=True))
    cancel_task(pipeline.services, "t-1", USER, deadline(), f"user:{USER}", None)
    for table in ("tutorial_metadata", "resource_recommendation_metadata", "quiz_metadata"):
        adopted.execute(f"DELETE FROM {table}")
    adopted.execute("DELETE FROM concept_metadata")
    adopted.execute(deletion)
    before = adopted.everything()

    for run_of in (answer, regeneration):
        end = ExecutionEnd(execution_arn=run_of.execution_arn or "", status="ABORTED")
        pipeline.sweep(detail=end)
    sweep(pipeline.services)

    assert adopted.everything() == before
    assert adopted.rows(
        "SELECT outcome FROM content_attempts WHERE ended_at IS NOT NULL ORDER BY attempt"
    ) == [
        {"outcome": "completed"},
        {"outcome": "cancelled"},
    ]


@pytest.mark.parametrize("deletion", ["DELETE FROM roadmap_metadata", "TRUNCATE roadmap_metadata CASCADE"])
def test_nothing_of_a_deleted_roadmap_is_kept(pipeline: Pipeline, adopted: Product, deletion: str) -> None:
    """Installations of the product may have foreign keys that delete the rows of a roadmap."""
    adopted.failed(CONCEPTS)
    heal(pipeline.services)
    adopted.execute("UPDATE tutorial_metadata SET title = 'Theirs'")
    adopted.execute("DELETE FROM quiz_metadata WHERE concept_id = :c", c=CONCEPTS[0])
    for key in adopted.rows(
        "SELECT CAST(CAST(conrelid AS regclass) AS text) AS table_name, conname FROM pg_constraint "
        "WHERE confrelid = CAST('roadmap_metadata' AS regclass)"
    ):
        adopted.execute(
            "ALTER TABLE {table_name} DROP CONSTRAINT {conname}, ADD FOREIGN KEY (roadmap_id) "
            "REFERENCES roadmap_metadata ON DELETE CASCADE".format(**key)
        )
    kept = ("content_archive", "content_origins")
    assert all(adopted.rows(f"SELECT 1 FROM {table}") for table in kept)

    adopted.execute(deletion)

    assert [adopted.rows(f"SELECT 1 FROM {table}") for table in kept] == [[], []]


@pytest.mark.parametrize(
    ("content_type", "document"), [(ContentType.RESOURCES, "resources"), (ContentType.QUIZ, "questions")]
)
def test_a_change_of_a_row_that_was_deleted_and_inserted_again_is_kept(
    pipeline: Pipeline, adopted: Product, content_type: ContentType, document: str
) -> None:
    adopted.failed(CONCEPTS)
    heal(pipeline.services)
    table = CONTENT_KINDS[content_type].table
    of_concept = f"FROM {table} WHERE concept_id = '{CONCEPTS[0]}'"
    (former,) = adopted.rows(f"SELECT CAST(to_json({table}) AS text) AS line {of_concept}")
    adopted.execute(f"DELETE {of_concept}")
    adopted.execute(
        f"INSERT INTO {table} SELECT * FROM json_populate_record(CAST(NULL AS {table}), CAST(:line AS json))",
        line=former["line"],
    )
    change = f"UPDATE {table} SET {document} = '[\"theirs\"]' WHERE concept_id = '{CONCEPTS[0]}'"

    regeneration = retry(pipeline.services, scope=Scope(CONCEPTS[0], content_type, regenerate=True))
    run(pipeline.services, regeneration, after_plan=lambda: adopted.execute(change))

    assert adopted.rows(f"SELECT {document} AS shown {of_concept}") == [{"shown": ["theirs"]}]
    assert adopted.rows(
        "SELECT reason, CAST(source_row AS text) AS line FROM content_archive ORDER BY archive_id"
    ) == [
        {"reason": reason, "line": former["line"]}
        for reason in ("the row was deleted", "the row was changed")
    ]


@pytest.mark.parametrize(
    ("task_id", "error"),
    [
        ("t-at-work", AtWorkElsewhereError),
        ("t-queued", AtWorkElsewhereError),
        ("t-designing", NotAtContentStageError),
        ("t-waiting", NotAtContentStageError),
        ("t-deleted", RoadmapNotFoundError),
    ],
)
def test_a_retry_of_the_product_s_own_work_is_refused_and_changes_nothing(
    pipeline: Pipeline, adopted: Product, task_id: str, error: type[Exception]
) -> None:
    rows_of_every_kind(adopted)
    before = adopted.everything()

    with pytest.raises(error) as refused:
        retry(pipeline.services, task_id)

    if isinstance(refused.value, NotAtContentStageError):
        assert refused.value.current_step in ("curriculum_design", "human_review")
    assert adopted.everything() == before


@pytest.mark.parametrize("task_id", ["t-at-work", "t-designing", "t-waiting"])
def test_a_run_that_the_console_starts_does_not_take_the_product_s_task(
    pipeline: Pipeline, adopted: Product, task_id: str
) -> None:
    rows_of_every_kind(adopted)
    before = adopted.everything()
    execution, given = Execution(arn="arn:console"), RunInput(task_id=task_id)

    with pytest.raises((AtWorkElsewhereError, NotAtContentStageError)):
        plan_batches(PlanRequest(input=given, execution=execution), pipeline.services, deadline())
    record_run_end(FinalizeRequest(input=given, execution=execution), pipeline.services, deadline())
    end = ExecutionEnd(execution_arn="arn:console", status="FAILED", input=given.model_dump_json())
    pipeline.sweep(detail=end)

    assert adopted.everything() == before


def test_a_task_in_the_product_s_workers_can_be_taken_over(pipeline: Pipeline, adopted: Product) -> None:
    rows_of_every_kind(adopted)

    run(pipeline.services, retry(pipeline.services, "t-at-work", take_over=True))

    assert adopted.rows("SELECT status, current_step FROM roadmap_tasks WHERE task_id = 't-at-work'") == [
        {"status": "completed", "current_step": "completed"}
    ]


@pytest.mark.parametrize("task_id", ["t-cancelled", "t-failed", "t-partial", "t-pending"])
def test_a_retry_of_an_idle_task_of_the_product_repairs_it(
    pipeline: Pipeline, adopted: Product, task_id: str
) -> None:
    rows_of_every_kind(adopted)
    adopted.execute("DELETE FROM roadmap_tasks WHERE celery_task_id IS NOT NULL")

    heal(pipeline.services, task_id)

    (task,) = adopted.rows("SELECT status FROM roadmap_tasks WHERE task_id = :t", t=task_id)
    assert task["status"] == "completed"


@pytest.mark.parametrize("is_adopted_first", [True, False])
def test_a_queue_that_a_later_migration_renames_is_unknown_and_not_empty(
    pipeline: Pipeline, adopted: Product, is_adopted_first: bool
) -> None:
    """A database that never had the column has no queue."""
    adopted.roadmap("r-1", CONCEPTS)
    adopted.task("t-1", "failed", roadmap_id="r-1")
    adopted.task("t-2", "pending", roadmap_id="r-1", celery="celery-2", step="content_generation_queued")
    if not is_adopted_first:
        adopted.execute("DELETE FROM content_installation WHERE name = 'celery_task_id'")
    adopted.execute("ALTER TABLE roadmap_tasks RENAME celery_task_id TO worker_task_id")

    if is_adopted_first:
        assert findings_of(pipeline.engine) == {"column_missing roadmap_tasks.celery_task_id"}
        with pytest.raises(AtWorkElsewhereError, match=r"t-2.*celery_task_id"):
            retry(pipeline.services)
    else:
        assert findings_of(pipeline.engine) == set()

    assert retry(pipeline.services, take_over=is_adopted_first).status == "processing"


def test_each_migration_records_a_column_that_the_product_has_added_since(adopted: Product) -> None:
    adopted.execute("DELETE FROM content_installation WHERE name = 'celery_task_id'")
    with adopted.engine.begin() as connection:
        restore(connection)
    adopted.execute("ALTER TABLE roadmap_tasks RENAME celery_task_id TO worker_task_id")
    assert findings_of(adopted.engine) == {"column_missing roadmap_tasks.celery_task_id"}
