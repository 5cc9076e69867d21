"""One roadmap has several tasks. While the product is processing one, we generate nothing for the roadmap."""

from collections.abc import Callable
from http import HTTPStatus

import pytest

from roadmap_content.api.http import refusal_of
from roadmap_content.api.preview import preview_retry
from roadmap_content.content.roadmaps.framework import Concept
from roadmap_content.contracts.api.recoveries import TaskFilter
from roadmap_content.contracts.api.system import Refusal
from roadmap_content.contracts.errors import AtWorkElsewhereError, ContentError
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.aws.executions import ExecutionState
from roadmap_content.runs.recoveries.create import create
from roadmap_content.runs.recoveries.decisions import Limits
from roadmap_content.runs.retries.retry import redrive_task, retry_task
from roadmap_content.state.tasks.attempts import user_start
from tests.product.product import Product
from tests.product.running import deadline, heal, retry, run, sql_of, sweep
from tests.support.factories import TYPES, USER, counts
from tests.support.pipeline import Pipeline

pytestmark = pytest.mark.parametrize("form", ["create_all"], indirect=True)

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

    queued = "UPDATE roadmap_tasks SET status = 'pending' WHERE task_id = 't-creation'"
    adopted.execute(queued)
    with pytest.raises(AtWorkElsewhereError, match="t-creation"):
        retry(pipeline.services, "t-retry")
    adopted.execute("UPDATE roadmap_tasks SET status = 'failed' WHERE task_id = 't-creation'")
    assert retry(pipeline.services, "t-retry").status == "processing"


@pytest.mark.usefixtures("failed_retry")
def test_take_over_starts_beside_the_sibling(pipeline: Pipeline) -> None:
    assert retry(pipeline.services, "t-retry", take_over=True).total_items == 2 * TYPES


def test_announced_work_refuses_a_retry(pipeline: Pipeline, adopted: Product) -> None:
    adopted.roadmap("r-1", CONCEPTS)
    adopted.task("t-1", "failed", roadmap_id="r-1")
    (announcement,) = (
        found for found in sql_of("adopting.md") if found.startswith("INSERT INTO roadmap_tasks")
    )
    adopted.execute(announcement, task_id="announced", user_id=USER, roadmap_id="r-1")

    with pytest.raises(AtWorkElsewhereError, match="announced"):
        retry(pipeline.services, "t-1")

    adopted.execute("UPDATE roadmap_tasks SET status = 'completed' WHERE task_id = 'announced'")
    assert retry(pipeline.services, "t-1").status == "processing"


@pytest.mark.usefixtures("failed_retry")
def test_a_recovery_reports_the_task_as_refused(pipeline: Pipeline, adopted: Product) -> None:
    services = pipeline.services
    limits = Limits(rate_per_minute=60, concurrency=1, token_budget=None, canary=0)
    create(services, TaskFilter(status=("failed",)), limits, "operator:o", "why", deadline())

    (task,) = adopted.rows("SELECT result, reason FROM content_recovery_tasks")
    assert task["result"] == "refused"
    assert "AtWorkElsewhere" in task["reason"]
    assert "t-creation" in task["reason"]
    assert adopted.rows("SELECT 1 FROM content_attempts") == []


def test_our_own_attempt_for_a_sibling_refuses_nothing(pipeline: Pipeline, adopted: Product) -> None:
    adopted.roadmap("r-1", CONCEPTS)
    adopted.task("t-1", "failed", roadmap_id="r-1")
    adopted.task("t-2", "failed", roadmap_id="r-1")
    retry(pipeline.services, "t-1")
    assert retry(pipeline.services, "t-2").status == "processing"


def test_a_sweep_does_not_project_a_roadmap_that_a_sibling_generates(
    pipeline: Pipeline, adopted: Product
) -> None:
    adopted.roadmap("r-1", CONCEPTS)
    adopted.task("t-1", "failed", roadmap_id="r-1")
    heal(pipeline.services, "t-1")
    adopted.task("t-retry", "processing", roadmap_id="r-1", celery="celery-1")
    adopted.execute("DELETE FROM quiz_metadata")
    before = adopted.everything()

    sweep(pipeline.services)

    assert adopted.everything() == before


def test_an_item_that_was_saved_since_the_plan_is_not_generated(pipeline: Pipeline, adopted: Product) -> None:
    """The product's `/roadmaps/{id}/retry-failed` has no task."""
    services = pipeline.services
    adopted.roadmap("r-1", CONCEPTS)
    adopted.task("t-1", "failed", roadmap_id="r-1")
    answer = retry(services, "t-1")
    generated: list[tuple[str, ContentType]] = []
    generate = services.generator.generate

    def count(concept: Concept, content_type: ContentType, *rest: object) -> object:
        generated.append((concept.concept_id, content_type))
        return generate(concept, content_type, *rest)  # type: ignore[arg-type]

    services.generator.generate = count  # type: ignore[assignment,method-assign]

    run(services, answer, after_plan=lambda: adopted.complete("r-1", CONCEPTS[0]))

    assert {concept_id for concept_id, _ in generated} == {CONCEPTS[1]}
    (attempt,) = adopted.rows("SELECT outcome, planned FROM content_attempts")
    assert attempt == {"outcome": "completed", "planned": counts(2)}
    assert adopted.rows("SELECT 1 FROM content_failures") == []
    announced = adopted.rows(
        "SELECT detail -> 'data' AS item FROM content_events WHERE detail_type = 'Item Saved'"
    )
    assert {(row["item"]["concept_id"], row["item"]["content_type"]) for row in announced} == {
        (concept_id, content_type) for concept_id in CONCEPTS[:2] for content_type in ContentType
    }


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
