"""The runbook's statements and `database/erase.sql` delete all rows of a user from the product's database."""

import pytest
from sqlalchemy import text

from smoke.erasing import erase_rows
from tests.product.product import NOW, Product
from tests.product.running import heal, sql_of
from tests.support.factories import USER
from tests.support.pipeline import Pipeline

PROGRESS = """
CREATE TABLE concept_progress (
    id varchar PRIMARY KEY, user_id varchar NOT NULL, concept_id varchar NOT NULL,
    roadmap_id varchar NOT NULL REFERENCES roadmap_metadata, is_completed boolean NOT NULL)
"""


@pytest.mark.parametrize("form", ["create_all"], indirect=True)
def test_a_user_s_rows_are_deleted_where_other_rows_refer_to_them(
    pipeline: Pipeline, adopted: Product
) -> None:
    adopted.execute(PROGRESS)
    adopted.roadmap("r-1", ["r-1:c-1"])
    adopted.task("t-1", "failed", roadmap_id="r-1")
    heal(pipeline.services)
    adopted.execute(
        f"INSERT INTO quiz_attempts SELECT 'a-1', 'another', quiz_id, 80, {NOW} FROM quiz_metadata"
    )
    adopted.execute("INSERT INTO concept_progress VALUES ('p-1', 'another', 'r-1:c-1', 'r-1', true)")
    assert any(USER in row or "r-1" in row for rows in adopted.everything().values() for row in rows)

    (statements,) = (found for found in sql_of("runbook.md") if "DELETE FROM quiz_attempts" in found)
    with adopted.engine.begin() as connection:
        for statement in filter(str.strip, statements.split(";")):
            connection.execute(text(statement), {"user_id": USER})
    erase_rows(adopted.engine, USER)

    left = {table: rows for table, rows in adopted.everything().items() if rows}
    assert set(left) <= {"alembic_version"}
