"""A restart of the product marks tasks in `processing` as failed. Our attempts go on."""

import pytest
from sqlalchemy import text

from tests.product.operations import NEEDS, OPERATIONS, perform
from tests.product.product import NOW, Product
from tests.product.running import heal, retry, run, sql_of
from tests.support.factories import USER
from tests.support.pipeline import Pipeline

pytestmark = pytest.mark.parametrize("form", ["create_all"], indirect=True)

CONCEPTS = ["r-1:c-1", "r-1:c-2"]
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
    adopted.roadmap("r-1", CONCEPTS)
    adopted.task("t-1", "failed", roadmap_id="r-1")
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
        with adopted.engine.begin() as connection:
            perform(connection, "cancel a task", {"task_id": "t-1"})
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
    with adopted.engine.begin() as connection:
        perform(connection, "queue a task in Celery", {"task_id": "t-1"})
    mark(adopted, "t-1")
    assert row(adopted)["current_step"] == "recovery_failed"


def test_the_advised_condition_leaves_out_our_attempts(ours: Pipeline, adopted: Product) -> None:
    adopted.task("t-theirs", "processing", roadmap_id="r-1")
    retry(ours.services, "t-1", take_over=True)
    (condition,) = (found for found in sql_of("adopting.md") if found.startswith("AND NOT EXISTS"))

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

    with adopted.engine.begin() as connection:
        perform(connection, name, ids)

    changed = adopted.everything() != before
    assert changed == (name != "write the framework"), "which writes what is there"
