"""The product works on the same roadmaps: siblings of a task, a restart, second rows, everything at once."""

import os
import time
from collections.abc import Callable
from http import HTTPStatus

import pytest
from sqlalchemy import text

from local_stack.postgres_server import Server
from roadmap_content.api.http import refusal_of
from roadmap_content.api.preview import preview_retry
from roadmap_content.contracts.api.system import Refusal
from roadmap_content.contracts.errors import AtWorkElsewhereError, ContentError
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.aws.executions import ExecutionState
from roadmap_content.runs.retries.retry import redrive_task, retry_task
from roadmap_content.state.tasks.attempts import user_start
from tests.product.operations import NEEDS, OPERATIONS, perform
from tests.product.product import NOW, Product
from tests.product.running import blocks_of, deadline, heal, retry, run, sweep
from tests.product.storm import Storm, play
from tests.support.databases import copied_database
from tests.support.factories import TYPES, USER, counts
from tests.support.generators import FakeModel
from tests.support.pipeline import Pipeline

CONCEPTS = ["r-1:c-1", "r-1:c-2"]


@pytest.fixture
def failed_retry(adopted: Product) -> None:
    """The product's creation task is at work; its single-concept retry of the same roadmap has failed."""
    adopted.roadmap("r-1", CONCEPTS)
    adopted.task("t-creation", "processing", roadmap_id="r-1", celery="celery-1")
    adopted.task(
        "t-retry",
        "failed",
        roadmap_id="r-1",
        task_type="retry_quiz",
        concept_id=CONCEPTS[0],
        content_type="quiz",
    )


@pytest.mark.usefixtures("failed_retry")
def test_a_retry_is_refused_and_names_the_sibling(pipeline: Pipeline, adopted: Product) -> None:
    before = adopted.everything()
    with pytest.raises(AtWorkElsewhereError, match="t-creation"):
        retry(pipeline.services, "t-retry")
    assert adopted.everything() == before

    adopted.execute("UPDATE roadmap_tasks SET status = 'pending' WHERE task_id = 't-creation'")
    with pytest.raises(AtWorkElsewhereError, match="t-creation"):
        retry(pipeline.services, "t-retry")
    adopted.execute("UPDATE roadmap_tasks SET status = 'failed' WHERE task_id = 't-creation'")
    assert retry(pipeline.services, "t-retry").status == "processing"


@pytest.mark.usefixtures("failed_retry")
def test_take_over_starts_beside_the_sibling(pipeline: Pipeline) -> None:
    assert retry(pipeline.services, "t-retry", take_over=True).total_items == 2 * TYPES


def test_announced_work_refuses_a_retry(pipeline: Pipeline, adopted: Product) -> None:
    adopted.failed(CONCEPTS)
    (announcement,) = (
        found for found in blocks_of("adopting.md", "sql") if found.startswith("INSERT INTO roadmap_tasks")
    )
    adopted.execute(announcement, task_id="announced", user_id=USER, roadmap_id="r-1")

    with pytest.raises(AtWorkElsewhereError, match="announced"):
        retry(pipeline.services, "t-1")

    adopted.execute("UPDATE roadmap_tasks SET status = 'completed' WHERE task_id = 'announced'")
    assert retry(pipeline.services, "t-1").status == "processing"


def test_our_own_attempt_for_a_sibling_refuses_nothing(pipeline: Pipeline, adopted: Product) -> None:
    adopted.failed(CONCEPTS)
    adopted.task("t-2", "failed", roadmap_id="r-1")
    retry(pipeline.services, "t-1")
    assert retry(pipeline.services, "t-2").status == "processing"


def test_a_sweep_does_not_project_a_roadmap_that_a_sibling_generates(
    pipeline: Pipeline, adopted: Product
) -> None:
    adopted.failed(CONCEPTS)
    heal(pipeline.services, "t-1")
    adopted.task("t-retry", "processing", roadmap_id="r-1", celery="celery-1")
    adopted.execute("DELETE FROM quiz_metadata")
    before = adopted.everything()

    sweep(pipeline.services)

    assert adopted.everything() == before


def test_an_item_that_was_saved_since_the_plan_is_not_generated(pipeline: Pipeline, adopted: Product) -> None:
    """The product's `/roadmaps/{id}/retry-failed` has no task."""
    services = pipeline.services
    adopted.failed(CONCEPTS)
    answer = retry(services, "t-1")
    counting = services.generator = FakeModel()

    run(services, answer, after_plan=lambda: adopted.complete("r-1", CONCEPTS[0]))

    assert {item.concept_id for item in counting.made} == {CONCEPTS[1]}
    assert adopted.rows("SELECT outcome, planned FROM content_attempts") == [
        {"outcome": "completed", "planned": counts(2)}
    ]
    assert adopted.rows("SELECT 1 FROM content_failures") == []
    announced = adopted.rows(
        "SELECT detail -> 'data' AS batch FROM content_events WHERE detail_type = 'Batch Saved'"
    )
    assert {
        (concept_id, row["batch"]["content_type"])
        for row in announced
        for concept_id in row["batch"]["saved_items"]
    } == {(concept_id, content_type) for concept_id in CONCEPTS[:2] for content_type in ContentType}


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize(
    "task_id",
    [
        "t-own",
        "t-sibling",
        "t-design",
        "t-person",
        "t-deleted",
        "t-none",
        "t-running",
        "t-ending",
        "t-over",
    ],
)
def test_a_preview_is_refused_exactly_as_the_request(
    pipeline: Pipeline, adopted: Product, task_id: str, checkpoint: bool
) -> None:
    services = pipeline.services
    for roadmap_id in ("r-1", "r-2", "r-3", "r-4"):
        adopted.roadmap(roadmap_id, [f"{roadmap_id}:c-1"])
    adopted.roadmap("r-deleted", ["r-deleted:c-1"], deleted=True)
    adopted.task("t-own", "processing", roadmap_id="r-1", celery="celery-1")
    adopted.task("t-sibling", "failed", roadmap_id="r-1")
    adopted.task("t-design", "failed", step="curriculum_design")
    adopted.task("t-person", "human_review_pending", roadmap_id="r-2", step="human_review")
    adopted.task("t-deleted", "failed", roadmap_id="r-deleted")
    for own, roadmap_id, start, state in (
        ("t-running", "r-2", retry, ExecutionState.RUNNING),
        ("t-ending", "r-3", heal, ExecutionState.RUNNING),
        ("t-over", "r-4", heal, ExecutionState.SUCCEEDED),
    ):
        adopted.task(own, "failed", roadmap_id=roadmap_id)
        services.executions.states[start(services, own).execution_arn] = state  # type: ignore[attr-defined]

    def real() -> object:
        if checkpoint:
            return redrive_task(services, task_id, USER, deadline(), user_start(USER))
        return retry_task(services, task_id, USER, deadline(), user_start(USER))

    def preview() -> object:
        return preview_retry(services, task_id, USER, deadline(), force_checkpoint=checkpoint)

    before = adopted.everything()
    expected = refusal_of_call(preview)
    assert adopted.everything() == before
    assert expected == refusal_of_call(real)
    assert (expected is None) == (task_id in ("t-ending", "t-over") and not checkpoint)


def refusal_of_call(call: Callable[[], object]) -> tuple[HTTPStatus, Refusal] | None:
    """The answer of the API to a refused call; `None` if it is not refused."""
    try:
        call()
    except ContentError as error:
        return refusal_of(error)
    return None


INTERRUPTED = """
SELECT task_id FROM roadmap_tasks
WHERE status = 'processing' AND task_type = 'creation' AND created_at > {now} - interval '24 hours'
"""
MARK = """
UPDATE roadmap_tasks SET status = 'failed', current_step = 'recovery_failed',
    error_message = 'Interrupted by a restart', updated_at = {now}
WHERE task_id = :task_id
"""


def found_by_a_restart(product: Product) -> list[str]:
    """The tasks that its start-up reads. It has no checkpoint of any of them."""
    return [row["task_id"] for row in product.rows(INTERRUPTED.format(now=NOW))]


def mark(product: Product, task_id: str) -> None:
    """Mark a task as its start-up does; the update must succeed."""
    with product.engine.begin() as connection:
        updated = connection.execute(text(MARK.format(now=NOW)), {"task_id": task_id})
        assert updated.rowcount == 1


@pytest.fixture
def ours(pipeline: Pipeline, adopted: Product) -> Pipeline:
    adopted.failed(CONCEPTS)
    return pipeline


def row(product: Product, task_id: str = "t-1") -> dict[str, object]:
    return product.rows("SELECT * FROM roadmap_tasks WHERE task_id = :t", t=task_id)[0]


def test_a_task_with_an_open_attempt_stays_as_it_is(ours: Pipeline, adopted: Product) -> None:
    answer = retry(ours.services, "t-1")
    before = row(adopted)
    assert found_by_a_restart(adopted) == ["t-1"]

    mark(adopted, "t-1")

    assert row(adopted) == before
    run(ours.services, answer)
    assert row(adopted)["status"] == "completed"


@pytest.mark.parametrize("then", ["cancelled", "completed"])
def test_a_restart_that_read_a_task_before_it_changed_does_not_mark_it(
    ours: Pipeline, adopted: Product, then: str
) -> None:
    answer = retry(ours.services, "t-1")
    (task_id,) = found_by_a_restart(adopted)
    if then == "cancelled":
        perform(adopted.engine, "cancel a task", {"task_id": "t-1"})
    else:
        run(ours.services, answer)
    before = row(adopted)
    assert before["status"] == then

    mark(adopted, task_id)

    assert row(adopted) == before


def test_the_product_s_own_work_is_marked_also_after_an_attempt_of_ours(
    ours: Pipeline, adopted: Product
) -> None:
    adopted.task("t-theirs", "processing", roadmap_id="r-1")
    mark(adopted, "t-theirs")
    assert row(adopted, "t-theirs")["current_step"] == "recovery_failed"

    heal(ours.services, "t-1")
    perform(adopted.engine, "queue a task in Celery", {"task_id": "t-1"})
    mark(adopted, "t-1")
    assert row(adopted)["current_step"] == "recovery_failed"


def test_the_advised_condition_leaves_out_our_attempts(ours: Pipeline, adopted: Product) -> None:
    adopted.task("t-theirs", "processing", roadmap_id="r-1")
    retry(ours.services, "t-1", take_over=True)
    (condition,) = (found for found in blocks_of("adopting.md", "sql") if found.startswith("AND NOT EXISTS"))

    found = adopted.rows(INTERRUPTED.format(now=NOW) + condition)

    assert [row["task_id"] for row in found] == ["t-theirs"]


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_its_effect_beside_an_open_attempt(
    ours: Pipeline, adopted: Product, name: str
) -> None:
    adopted.complete("r-1", CONCEPTS[0])
    retry(ours.services, "t-1")
    ids = {
        "roadmap_id": "r-1",
        "task_id": "t-1",
        "user_id": USER,
        "concept_id": CONCEPTS[0],
        "other_concept_id": CONCEPTS[1],
    }
    table = NEEDS.get(name)
    assert table is None or adopted.has(table)
    before = adopted.everything()

    perform(adopted.engine, name, ids)

    changed = adopted.everything() != before
    assert changed == (name != "write the framework"), "which writes what is there"


TABLES = {"quiz_metadata": "quiz_id", "resource_recommendation_metadata": "id"}


def quiz_page(product: Product, concept_id: str) -> str:
    """The product's `GET …/quiz`: raises if there is more than one row."""
    with product.engine.connect() as connection:
        found: str = connection.execute(
            text("SELECT quiz_id FROM quiz_metadata WHERE roadmap_id = 'r-1' AND concept_id = :c"),
            {"c": concept_id},
        ).scalar_one()
    return found


def duplicate(product: Product) -> None:
    """A second row of every concept, as two workers insert at the same moment."""
    for table, key in TABLES.items():
        product.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        columns = ", ".join(
            f"'second ' || {key}" if name == key else name
            for name in (
                row["attname"]
                for row in product.rows(
                    "SELECT attname FROM pg_attribute WHERE attrelid = CAST(:t AS regclass) AND attnum > 0 "
                    "ORDER BY attnum",
                    t=table,
                )
            )
        ).replace("generated_at", "generated_at + interval '1 second'")
        product.execute(f"INSERT INTO {table} SELECT {columns} FROM {table}")
        product.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


@pytest.fixture
def completed(pipeline: Pipeline, adopted: Product) -> Pipeline:
    adopted.failed(CONCEPTS)
    for concept_id in CONCEPTS:
        adopted.complete("r-1", concept_id)
    return pipeline


@pytest.mark.parametrize("attempted", [[], ["quiz of"], ["second quiz of"], ["quiz of", "second quiz of"]])
def test_a_sweep_merges_duplicates_of_our_tasks(
    completed: Pipeline, adopted: Product, attempted: list[str]
) -> None:
    adopted.execute("DELETE FROM quiz_metadata WHERE concept_id = :c", c=CONCEPTS[1])
    heal(completed.services)
    duplicate(adopted)
    newest = "UPDATE quiz_metadata SET questions = '[\"newest\"]' WHERE quiz_id LIKE 'second %'"
    adopted.execute(newest)
    for number, prefix in enumerate(attempted):
        adopted.answer(f"{prefix} {CONCEPTS[0]}", str(number))

    sweep(completed.services)

    kept = f"{attempted[-1] if attempted else 'second quiz of'} {CONCEPTS[0]}"
    assert quiz_page(adopted, CONCEPTS[0]) == kept
    for table in TABLES:
        assert len(adopted.rows(f"SELECT 1 FROM {table}")) == 2
        archived = "SELECT 1 FROM content_archive WHERE source_table = :t"
        assert len(adopted.rows(archived, t=table)) >= 2
    assert adopted.rows(f"SELECT questions FROM quiz_metadata WHERE quiz_id = '{kept}'") == [
        {"questions": ["newest"]}
    ]
    assert {row["quiz_id"] for row in adopted.rows("SELECT quiz_id FROM quiz_attempts")} <= {kept}
    (concept,) = adopted.rows("SELECT quiz_id FROM concept_metadata WHERE concept_id = :c", c=CONCEPTS[0])
    assert concept["quiz_id"] == kept
    assert all(result.repairs == [] for result in sweep(completed.services))


def test_duplicates_of_the_product_s_own_tasks_stay_until_a_request(
    completed: Pipeline, adopted: Product
) -> None:
    duplicate(adopted)
    before = adopted.everything()
    sweep(completed.services)
    assert adopted.everything() == before

    assert retry(completed.services).status == "completed"

    assert quiz_page(adopted, CONCEPTS[0]) == f"second quiz of {CONCEPTS[0]}"


def test_no_operation_of_the_product_fails_and_the_invariants_hold(database_server: Server) -> None:
    ends = time.monotonic() + 60 * float(os.environ.get("STORM_MINUTES", "0"))

    def is_enough(storm: Storm) -> bool:
        return storm.performed == OPERATIONS.keys() and storm.counts["runs"] >= 4 and time.monotonic() >= ends

    with copied_database(database_server.url) as (_, url):
        assert play(url, int(os.environ.get("STORM_SEED", "12")), is_enough) == []
