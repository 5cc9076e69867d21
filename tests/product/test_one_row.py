"""A reader of the product finds one row of resources, and one quiz, per concept."""

import pytest
from sqlalchemy import text

from tests.product.product import NOW, Product
from tests.product.running import heal, retry, sweep
from tests.support.pipeline import Pipeline

pytestmark = pytest.mark.parametrize("form", ["create_all"], indirect=True)

CONCEPTS = ["r-1:c-1", "r-1:c-2"]
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
    adopted.roadmap("r-1", CONCEPTS)
    for concept_id in CONCEPTS:
        adopted.complete("r-1", concept_id)
    adopted.task("t-1", "failed", roadmap_id="r-1")
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
        adopted.execute(
            f"INSERT INTO quiz_attempts VALUES (:a, 'u', :q, 80, {NOW})",
            a=str(number),
            q=f"{prefix} {CONCEPTS[0]}",
        )

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
