"""A retry of single items, and saved items that are generated again, on the product's schema."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from local_stack.lock_waiters import processes_waiting_for
from local_stack.processes import becomes_true
from migrations import use_time_zone
from roadmap_content.api.preview import preview_retry
from roadmap_content.content.product import PRODUCT_TYPES
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.content.rows import current_revisions
from roadmap_content.contracts.errors import ItemNotFoundError, TransientError
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.storage.staging import Staging
from roadmap_content.runs.steps.save import save_batch
from roadmap_content.state.services import Services
from roadmap_content.state.tasks.scope import Scope
from tests.product.product import EVERY_FORM, NOW, Product
from tests.product.running import blocks_of, deadline, heal, planned, retry, sweep
from tests.support.factories import TYPES, USER, concepts_of, quiz
from tests.support.generators import FakeModel
from tests.support.machine_model import Run
from tests.support.pipeline import Pipeline

CONCEPTS = [f"r-1:c-{number}" for number in range(1, 5)]
CONCEPT = CONCEPTS[0]
TABLES = {content_type: (kind.table, kind.id_field) for content_type, kind in CONTENT_KINDS.items()}


class AwayError(TransientError, code="ModelBusy"):
    """The model does not respond."""


@pytest.fixture
def generator(pipeline: Pipeline) -> FakeModel:
    counting = FakeModel()
    pipeline.services.generator = counting
    return counting


@pytest.fixture
def completed(adopted: Product, pipeline: Pipeline, generator: FakeModel) -> Services:
    """A completed task with content that was saved by us."""
    adopted.failed(CONCEPTS)
    heal(pipeline.services)
    generator.made.clear()
    return pipeline.services


def again(content_type: ContentType | None = None, concept_id: str | None = CONCEPT) -> Scope:
    return Scope(concept_id, content_type, regenerate=True)


def current_id(product: Product, content_type: ContentType) -> str:
    """The concept's status on the product's pages: from the framework, and from its own table."""
    (row,) = product.rows("SELECT framework_data FROM roadmap_metadata")
    (concept,) = (each for each in concepts_of(row["framework_data"]) if each["concept_id"] == CONCEPT)
    shown: str = concept[f"{content_type}_id"]
    if product.has("concept_metadata"):
        (known,) = product.rows("SELECT * FROM concept_metadata WHERE concept_id = :c", c=CONCEPT)
        if content_type in PRODUCT_TYPES:
            assert known[f"{content_type}_id"] == shown
        assert known["overall_status"] == "completed"
    return shown


def rows_of(product: Product, content_type: ContentType) -> list[dict[str, Any]]:
    table, key = TABLES[content_type]
    return product.rows(
        f"SELECT t.*, {key} AS row_id FROM {table} t WHERE concept_id = :c ORDER BY generated_at, {key}",
        c=CONCEPT,
    )


def audit(product: Product) -> dict[str, Any]:
    return product.rows("SELECT * FROM content_attempts ORDER BY attempt DESC LIMIT 1")[0]


def one(content_type: ContentType) -> dict[str, int]:
    return dict.fromkeys(map(str, ContentType), 0) | {str(content_type): 1}


def begun(services: Services, scope: Scope) -> Run:
    """The run of a retry, after its plan."""
    return planned(services, retry(services, scope=scope))


def finish(services: Services, run: Run) -> str:
    """Let a run go on until its outcome is recorded; return the task's status."""
    while run.going:
        run.step(services, deadline())
    assert run.outcome is not None
    return run.outcome.status


@pytest.mark.parametrize(
    ("scope", "total"),
    [
        (Scope(CONCEPT, ContentType.QUIZ), 1),
        (Scope(concept_id=CONCEPT), TYPES),
        (Scope(content_type=ContentType.TUTORIAL), 4),
    ],
)
def test_a_limited_retry_generates_its_part_and_keeps_the_other_failures(
    pipeline: Pipeline, adopted: Product, generator: FakeModel, scope: Scope, total: int
) -> None:
    adopted.failed(CONCEPTS)
    generator.error = AwayError("too many requests")
    heal(pipeline.services)
    generator.error = None

    answer = heal(pipeline.services, scope=scope)

    assert answer.total_items == total == len(generator.made)
    assert all(scope.includes(item) for item in generator.made)
    (task,) = adopted.rows("SELECT * FROM roadmap_tasks")
    assert task["status"] == "partial_failure"
    items = task["failed_concepts"]["items"]
    assert len(items) == 4 * TYPES - total
    assert {(item["error_code"], item["reason"]) for item in items} == {("ModelBusy", "too many requests")}
    last = audit(adopted)
    assert sum(last["planned"].values()) == sum(last["saved"].values()) == total
    assert sum(last["failed"].values()) == 0
    assert last["scope"] == scope.document
    assert heal(pipeline.services).total_items == 4 * TYPES - total
    assert adopted.rows("SELECT status FROM roadmap_tasks") == [{"status": "completed"}]


def test_a_first_attempt_for_one_item_records_that_the_others_were_not_requested(
    pipeline: Pipeline, adopted: Product, generator: FakeModel
) -> None:
    adopted.failed(CONCEPTS)

    heal(pipeline.services, scope=Scope(CONCEPT, ContentType.QUIZ))

    assert generator.made == [Item(CONCEPT, ContentType.QUIZ)]
    (task,) = adopted.rows("SELECT * FROM roadmap_tasks")
    assert {item["error_code"] for item in task["failed_concepts"]["items"]} == {"NotRequested"}
    assert adopted.rows("SELECT * FROM content_attempts WHERE next_at IS NOT NULL") == []


def test_a_retry_of_a_part_without_missing_items_starts_nothing(
    completed: Services, adopted: Product
) -> None:
    adopted.execute("DELETE FROM quiz_metadata WHERE concept_id = :c", c=CONCEPTS[1])

    answer = retry(completed, "t-1", Scope(CONCEPT, ContentType.QUIZ))

    assert (answer.status, answer.total_items, answer.attempt) == ("partial_failure", 0, 1)
    with pytest.raises(ItemNotFoundError):
        retry(completed, "t-1", Scope("r-1:c-99"))


@EVERY_FORM
def test_a_regenerated_tutorial_gets_the_next_version(
    completed: Services, adopted: Product, generator: FakeModel
) -> None:
    (first,) = rows_of(adopted, ContentType.TUTORIAL)
    text = completed.bucket.get(first["content_url"])

    answer = heal(completed, scope=again(ContentType.TUTORIAL))

    assert answer.total_items == 1
    assert generator.made == [Item(CONCEPT, ContentType.TUTORIAL)]
    old, new = rows_of(adopted, ContentType.TUTORIAL)
    assert old == first | {"is_latest": False}
    assert (new["content_version"], new["is_latest"]) == (2, True)
    assert completed.bucket.holds(new["content_url"])
    assert completed.bucket.get(first["content_url"]) == text
    assert current_id(adopted, ContentType.TUTORIAL) == new["tutorial_id"]
    last = audit(adopted)
    assert last["planned"] == last["saved"] == last["generated"] == one(ContentType.TUTORIAL)
    assert last["replaces"] == {"tutorial": {CONCEPT: first["tutorial_id"]}}
    assert adopted.rows("SELECT status FROM roadmap_tasks") == [{"status": "completed"}]
    assert all(result.repairs == [] for result in sweep(completed))


@EVERY_FORM
@pytest.mark.parametrize("content_type", [ContentType.RESOURCES, ContentType.QUIZ])
def test_resources_and_quizzes_are_replaced_only_when_the_new_ones_are_saved(
    completed: Services, adopted: Product, content_type: ContentType
) -> None:
    (old,) = rows_of(adopted, content_type)
    run = begun(completed, again(content_type))
    run.step(completed, deadline())  # it generates
    assert rows_of(adopted, content_type) == [old]

    assert finish(completed, run) == "completed"

    (new,) = rows_of(adopted, content_type)
    assert new["row_id"] == old["row_id"] == current_id(adopted, content_type)
    assert new["generated_at"] > old["generated_at"]
    (archived,) = adopted.rows("SELECT source_row, row_id FROM content_archive")
    assert archived["source_row"][TABLES[content_type][1]] == archived["row_id"] == old["row_id"]
    save_batch(run.requests[0], completed, deadline())  # delivered again, late
    assert rows_of(adopted, content_type) == [new]


@pytest.mark.parametrize("content_type", list(ContentType))
def test_a_failed_generation_does_not_change_the_saved_item(
    completed: Services, adopted: Product, generator: FakeModel, content_type: ContentType
) -> None:
    before = adopted.everything()
    run = begun(completed, again(content_type))
    generator.error = AwayError("too many requests")

    assert finish(completed, run) == "completed"

    after = adopted.everything()
    for table, _ in TABLES.values():
        assert after[table] == before[table]
    assert after["roadmap_metadata"] == before["roadmap_metadata"]
    last = audit(adopted)
    assert last["planned"] == last["failed"] == one(content_type)
    assert adopted.rows("SELECT status, failed_concepts FROM roadmap_tasks") == [
        {"status": "completed", "failed_concepts": None}
    ]
    (failure,) = adopted.rows("SELECT * FROM content_failures")
    assert (failure["concept_id"], failure["content_type"]) == (CONCEPT, content_type)
    assert (failure["attempt"], failure["error_code"]) == (2, "ModelBusy")


def test_after_a_crash_items_to_replace_count_as_failed(completed: Services, adopted: Product) -> None:
    begun(completed, again(ContentType.QUIZ)).step(completed, deadline())
    adopted.execute(f"UPDATE roadmap_tasks SET updated_at = {NOW} - interval '1 hour'")

    sweep(completed)

    last = audit(adopted)
    assert (last["outcome"], last["failed"]) == ("completed", one(ContentType.QUIZ))


@pytest.mark.parametrize("content_type", list(ContentType))
def test_generated_but_unsaved_content_is_saved_by_the_next_request(
    completed: Services, adopted: Product, generator: FakeModel, content_type: ContentType
) -> None:
    table, _ = TABLES[content_type]
    adopted.execute(f"ALTER TABLE {table} ADD CONSTRAINT refuses CHECK (generated_at IS NULL) NOT VALID")
    heal(completed, scope=again(content_type))
    assert audit(adopted)["failed"] == one(content_type)
    adopted.execute(f"ALTER TABLE {table} DROP CONSTRAINT refuses")
    adopted.execute("UPDATE content_failures SET error_code = '40001', content_fingerprint = NULL")
    old = rows_of(adopted, content_type)

    preview = preview_retry(completed, "t-1", USER, deadline(), again(content_type))
    heal(completed, scope=again(content_type))

    assert (sum(preview.staged.values()), sum(preview.to_generate.values())) == (1, 0)
    assert generator.made == [Item(CONCEPT, content_type)]
    new = rows_of(adopted, content_type)[-1]
    assert new not in old
    assert current_id(adopted, content_type) == new["row_id"]


@pytest.mark.parametrize("content_type", [ContentType.RESOURCES, ContentType.QUIZ])
def test_a_row_that_the_product_writes_meanwhile_is_kept(
    completed: Services, adopted: Product, content_type: ContentType
) -> None:
    run = begun(completed, again(content_type))
    run.step(completed, deadline())
    adopted.execute(f"DELETE FROM {TABLES[content_type][0]} WHERE concept_id = :c", c=CONCEPT)
    adopted.execute("DELETE FROM tutorial_metadata WHERE concept_id = :c", c=CONCEPT)
    adopted.complete("r-1", CONCEPT, suffix=" theirs")
    theirs = rows_of(adopted, content_type)[-1]

    finish(completed, run)

    assert rows_of(adopted, content_type)[-1] == theirs
    assert current_id(adopted, content_type) == theirs["row_id"]


def test_a_row_that_the_product_deletes_during_the_save_is_not_counted_as_saved(
    completed: Services, adopted: Product
) -> None:
    run = begun(completed, again(ContentType.QUIZ))
    run.step(completed, deadline())
    with ThreadPoolExecutor(1) as pool:
        with adopted.engine.begin() as product:
            product.execute(text("DELETE FROM quiz_metadata WHERE concept_id = :c"), {"c": CONCEPT})
            saving = pool.submit(save_batch, run.requests[0], completed, deadline())
            assert becomes_true(lambda: bool(processes_waiting_for(product)), 600)
        assert (saving.result().saved, saving.result().failed) == (0, 1)
    assert finish(completed, run) == "completed", "delivered again, it is saved"
    assert len(rows_of(adopted, ContentType.QUIZ)) == 1


@pytest.mark.parametrize("of_row", [True, False])
def test_content_under_the_id_of_the_content_that_it_replaces_gets_another_id(
    completed: Services, adopted: Product, of_row: bool
) -> None:
    """The same id would not show whether the content was replaced; the row's is that of an earlier one."""
    item = Item(CONCEPT, ContentType.QUIZ)

    def revision() -> str:
        with adopted.engine.begin() as connection:
            return current_revisions(connection, "r-1", [item])[item]

    heal(completed, scope=again(ContentType.QUIZ))
    (row,), old = rows_of(adopted, ContentType.QUIZ), revision()
    corrected = quiz(CONCEPT, quiz_id=row["quiz_id"] if of_row else old)
    Staging(completed.bucket, "r-1", {item: old}).write(item, corrected)

    heal(completed, scope=again(ContentType.QUIZ))
    (failure,) = adopted.rows("SELECT error_code FROM content_failures")
    assert failure["error_code"] == "IdTaken"
    heal(completed, scope=again(ContentType.QUIZ))

    assert revision() not in (old, row["quiz_id"])
    (row,) = rows_of(adopted, ContentType.QUIZ)
    assert row["questions"] == corrected["questions"]


@pytest.mark.parametrize("form", ["create_all", "with_constraints"], indirect=True)
def test_a_quiz_with_attempts_is_replaced_in_place(
    completed: Services, adopted: Product, generator: FakeModel
) -> None:
    with adopted.engine.begin() as connection:
        use_time_zone(connection, "Asia/Shanghai")
    (old,) = rows_of(adopted, ContentType.QUIZ)
    adopted.execute("UPDATE quiz_metadata SET questions = '[\"the first\"]' WHERE concept_id = :c", c=CONCEPT)
    adopted.answer(old["quiz_id"], "a-1")

    for _ in range(2):
        heal(completed, scope=again(ContentType.QUIZ))

    (new,) = rows_of(adopted, ContentType.QUIZ)
    assert new["quiz_id"] == old["quiz_id"] == current_id(adopted, ContentType.QUIZ)
    assert new["questions"] != ["the first"]
    assert len(generator.made) == 2, "the second time, the content of the first is not used again"
    assert audit(adopted)["saved"] == one(ContentType.QUIZ)
    adopted.answer(old["quiz_id"], "a-2")  # the page was opened before
    (statement,) = (found for found in blocks_of("adopting.md", "sql") if "content_quiz_at" in found)
    read = adopted.rows(f"{statement} ORDER BY a.id")
    assert [row["questions"] for row in read] == [["the first"], new["questions"]]
    assert all(result.repairs == [] for result in sweep(completed))


def test_staged_copies_of_saved_items_do_not_count_as_new_content(
    completed: Services, adopted: Product, generator: FakeModel
) -> None:
    """With more items than fit into a batch, Plan lists the staged items, and every saved item is staged."""
    completed.settings = type(completed.settings)(
        {
            "CONTENT_BUCKET": completed.settings.content_bucket,
            "BATCH_SIZE": "1",
            "MAX_CONCURRENCY": "5",
            "GENERATOR": "offline",
        }
    )
    adopted.execute("DELETE FROM resource_recommendation_metadata WHERE concept_id < :c", c=CONCEPTS[2])
    before = {kind: {row["row_id"] for row in rows_of(adopted, kind)} for kind in ContentType}

    run = begun(completed, again(concept_id=None))

    staged = [request.batch.items for request in run.requests if request.batch.staged]
    assert staged == [{ContentType.RESOURCES: 2}]
    finish(completed, run)
    assert len(generator.made) == 4 * TYPES - 2
    assert sum(audit(adopted)["saved"].values()) == 4 * TYPES
    assert current_id(adopted, ContentType.QUIZ) in before[ContentType.QUIZ]
    assert len(adopted.rows("SELECT 1 FROM content_archive WHERE source_table = 'quiz_metadata'")) == 4
