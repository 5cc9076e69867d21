"""A user is erased beside the product, also after the product has deleted the user's rows."""

import pytest

from migrations import migrate
from roadmap_content.runs.retries.retry import retry_task
from roadmap_content.state.tasks.attempts import user_start
from tests.product.product import Product
from tests.product.running import deadline, heal, run, sweep
from tests.support.engines import shared_engine
from tests.support.erasing import QUIET, erased, left_of, rows_with
from tests.support.factories import CONTENT_TABLES, USER, concept_ids
from tests.support.pipeline import Pipeline, services_for

NAMES = USER, "r-1", "r-9", "t-1", "t-9"


@pytest.fixture
def beside(product: Product, bucket_name: str) -> Pipeline:
    """A user's finished task in the adopted database, and that of a neighbour."""
    product.engine.dispose()
    migrate(product.url)
    services = services_for(product.url)
    services.engine = services.reading_engine = shared_engine(product.url)
    pipeline = Pipeline(services, engine=services.engine)
    for number in (1, 2):
        product.roadmap(f"r-{number}", concept_ids(2, f"r-{number}"))
        product.task(f"t-{number}", "failed", roadmap_id=f"r-{number}")
    for table in ("roadmap_tasks", "roadmap_metadata"):
        product.execute(f"UPDATE {table} SET user_id = 'bob' WHERE roadmap_id = 'r-2'")
    heal(pipeline.services)
    run(pipeline.services, retry_task(pipeline.services, "t-2", "bob", deadline(), user_start("bob")))
    sweep(pipeline.services)
    return pipeline


LOSSES = {
    "nothing": "",
    "tasks": "DELETE FROM roadmap_tasks WHERE task_id = 't-1'",
    "cascade": "; ".join(
        f"ALTER TABLE {table} ADD FOREIGN KEY (roadmap_id) REFERENCES roadmap_metadata ON DELETE CASCADE,"
        f" DROP CONSTRAINT {table}_roadmap_id_fkey"
        for table in ("concept_metadata", "quiz_attempts", *CONTENT_TABLES)
    )
    + "; DELETE FROM roadmap_tasks WHERE task_id = 't-1'"
    + "; DELETE FROM roadmap_metadata WHERE roadmap_id = 'r-1'",
    "truncate": "TRUNCATE roadmap_tasks, roadmap_metadata CASCADE",
}


@pytest.mark.parametrize("product_rows", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_everything_of_ours_goes_whatever_the_product_has_deleted(
    beside: Pipeline, product: Product, loss: str, product_rows: bool
) -> None:
    if LOSSES[loss]:
        product.execute(LOSSES[loss])
    services, engine = beside.services, beside.engine
    sweep(services)
    before, neighbour = rows_with(engine, *NAMES), rows_with(engine, "bob", "r-2", "t-2")
    owned = product.everything()
    objects = {entry.key for entry in services.bucket.entries("r-2/")}
    answer = erased(services, USER, product_rows=product_rows)
    assert answer.complete
    sweep(services)
    assert left_of(engine, services, *NAMES, product_rows=product_rows) == {}
    after = rows_with(engine, "bob", "r-2", "t-2")
    # A sweep has checked the neighbour's task meanwhile.
    assert {**after, "content_checks": []} == {**neighbour, "content_checks": []}
    assert {entry.key for entry in services.bucket.entries("r-2/")} == objects
    if not product_rows:
        assert product.everything().keys() == owned.keys()
        assert {table: rows for table, rows in product.everything().items() if table != "roadmap_tasks"} == {
            table: rows for table, rows in owned.items() if table != "roadmap_tasks"
        }
    counted = {table: len(rows) for table, rows in before.items() if table in answer.removed.rows}
    assert answer.removed.rows == counted
    assert answer.removed.rows.keys() >= {"content_attempts", "content_events", "content_queue"}


LEFT = {"tasks": {"content_origins"}, "cascade": set(), "truncate": set()}
"""The origins of a roadmap's contents stay with it, although its task is deleted."""


def pass_days(product: Product) -> None:
    product.execute(
        f"{QUIET};"
        " UPDATE content_attempts SET task_gone_since = task_gone_since - interval '31 days',"
        " roadmap_gone_since = roadmap_gone_since - interval '31 days'"
    )


@pytest.mark.parametrize("loss", LEFT)
def test_records_of_what_the_product_deletes_go_after_some_days(
    beside: Pipeline, product: Product, loss: str
) -> None:
    services, engine = beside.services, beside.engine
    product.execute(f"{LOSSES[loss]}; {QUIET}")
    services.bucket.put("r-1/concepts/c/v1.md", b"a text of the product")
    names, neighbour = ("r-1", "t-1"), ("bob", "r-2", "t-2")
    sweep(services)
    kept, others = rows_with(engine, *names), rows_with(engine, *neighbour)
    sweep(services)
    assert rows_with(engine, *names) == kept
    assert kept.keys() >= {"content_attempts", "content_events", "content_queue"}
    pass_days(product)
    product.execute("UPDATE content_attempts SET ended_at = now() WHERE attempt = 1")
    sweep(services)
    assert rows_with(engine, *names).keys() == kept.keys(), "a step may still write"
    product.execute(QUIET)
    sweep(services)
    left = left_of(engine, services, *names, product_rows=False)
    objects = left.pop("objects")
    assert left.keys() == LEFT[loss]
    assert {key.split("/")[0] for key in objects} == ({"r-1", "staged"} if loss == "tasks" else {"r-1"})
    assert loss == "tasks" or objects == ["r-1/concepts/c/v1.md"]
    if loss != "truncate":
        assert {**rows_with(engine, *neighbour), "content_attempts": [], "content_checks": []} == {
            **others,
            "content_attempts": [],
            "content_checks": [],
        }


@pytest.mark.parametrize(
    ("loss", "return_"),
    [
        ("UPDATE roadmap_metadata SET deleted_at = now()", "UPDATE roadmap_metadata SET deleted_at = NULL"),
        (
            "CREATE TABLE gone AS SELECT * FROM roadmap_tasks; DELETE FROM roadmap_tasks",
            "INSERT INTO roadmap_tasks SELECT * FROM gone; DROP TABLE gone",
        ),
    ],
)
def test_records_of_what_the_product_restores_stay(
    beside: Pipeline, product: Product, loss: str, return_: str
) -> None:
    services = beside.services
    before = rows_with(beside.engine, *NAMES, "r-2", "t-2")
    objects = [entry.key for entry in services.bucket.entries("")]
    product.execute(loss)
    sweep(services)
    if "deleted_at" in loss:
        pass_days(product)
        sweep(services)
    product.execute(return_)
    sweep(services)
    pass_days(product)
    sweep(services)
    after = rows_with(beside.engine, *NAMES, "r-2", "t-2")
    assert {table: len(rows) for table, rows in after.items()} == {
        table: len(rows) for table, rows in before.items()
    }
    assert [entry.key for entry in services.bucket.entries("")] == objects


def test_rows_that_refer_to_those_of_the_product_go_with_them(beside: Pipeline, product: Product) -> None:
    for quiz in product.rows("SELECT quiz_id FROM quiz_metadata"):
        product.answer(quiz["quiz_id"], f"a-{quiz['quiz_id']}", "another")
    product.execute("INSERT INTO concept_progress VALUES ('p-1', 'another', 'r-1', 'r-1:c-1', true)")
    product.execute(f"INSERT INTO concept_progress VALUES ('p-2', '{USER}', 'r-2', 'r-2:c-1', true)")
    assert erased(beside.services, USER, product_rows=True).complete
    assert left_of(beside.engine, beside.services, *NAMES, product_rows=True) == {}
    assert len(product.rows("SELECT quiz_id FROM quiz_attempts")) == 2
