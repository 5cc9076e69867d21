"""The product: its own database, with rows of every kind."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from sqlalchemy import Engine

from roadmap_content.content.kind import save_parameters
from tests.support.engines import shared_product_engine
from tests.support.factories import LATER_KINDS, USER, content_of, framework_of
from tests.support.product_schema import FORMS
from tests.support.tables import Tables

NOW = "timezone('Asia/Shanghai', now())"
"""The product's clock: `timestamp without time zone` in Beijing time."""

EVERY_FORM = pytest.mark.parametrize("form", FORMS, indirect=True)
"""A test in each variant of the schema, which has the fixture `form`."""


class Product(Tables):
    """The product, with its own connections to its database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: Engine = shared_product_engine(url)

    def install(self, schema: str) -> None:
        with self.engine.begin() as connection:
            connection.exec_driver_sql(schema)

    def has(self, table: str) -> bool:
        return bool(self.rows("SELECT to_regclass(:t) IS NOT NULL AS found", t=table)[0]["found"])

    def roadmap(
        self,
        roadmap_id: str,
        ids: Sequence[str],
        *,
        deleted: bool = False,
        framework: Mapping[str, Any] | None = None,
    ) -> None:
        """A roadmap with a framework, and its rows of `concept_metadata` if the table exists."""
        self.execute(
            "INSERT INTO roadmap_metadata VALUES (:r, :u, 'Kubernetes', 20, 4, CAST(:f AS json), "
            f"{NOW}, CASE WHEN :deleted THEN {NOW} END, CASE WHEN :deleted THEN :u END)",
            r=roadmap_id,
            u=USER,
            f=json.dumps(framework or framework_of(ids)),
            deleted=deleted,
        )
        if self.has("concept_metadata"):
            for concept_id in ids:
                self.execute(
                    "INSERT INTO concept_metadata (concept_id, roadmap_id, tutorial_status, "
                    "resources_status, quiz_status, overall_status, created_at, updated_at) VALUES "
                    f"(:c, :r, 'pending', 'pending', 'pending', 'pending', {NOW}, {NOW})",
                    c=concept_id,
                    r=roadmap_id,
                )

    def task(
        self,
        task_id: str,
        status: str,
        *,
        step: str = "content_generation",
        roadmap_id: str | None = None,
        task_type: str = "creation",
        concept_id: str | None = None,
        content_type: str | None = None,
        celery: str | None = None,
        age: str = "1 hour",
    ) -> None:
        """A task that was last changed `age` ago."""
        over = status in ("completed", "partial_failure", "failed", "cancelled")
        self.execute(
            "INSERT INTO roadmap_tasks (task_id, user_id, status, current_step, user_request, roadmap_id, "
            "created_at, updated_at, completed_at, error_message, failed_concepts, execution_summary, "
            "task_type, concept_id, content_type, celery_task_id) VALUES (:t, :u, :status, :step, "
            f'CAST(\'{{"goal":  "Kubernetes"}}\' AS json), :r, {NOW} - CAST(:age AS interval), '
            f"{NOW} - CAST(:age AS interval), CASE WHEN :over THEN {NOW} - CAST(:age AS interval) END, "
            ":message, NULL, CAST(:summary AS json), :task_type, :c, :content_type, :celery)",
            t=task_id,
            u=USER,
            status=status,
            step=step,
            r=roadmap_id,
            age=age,
            over=over,
            message="Cancelled by the user" if status == "cancelled" else None,
            summary='{"tutorial_count":  3}' if over else None,
            task_type=task_type,
            c=concept_id,
            content_type=content_type,
            celery=celery,
        )

    def failed(self, concept_ids: Sequence[str]) -> None:
        """The roadmap `r-1`, and its task `t-1` that has failed."""
        self.roadmap("r-1", concept_ids)
        self.task("t-1", "failed", roadmap_id="r-1")

    def complete(self, roadmap_id: str, concept_id: str, *, suffix: str = "") -> None:
        """All rows of a concept: those that the product's generators save, and those of later types."""
        self.execute(
            "INSERT INTO tutorial_metadata VALUES "
            f"(:t, :c, :r, 'T', 'S', :u, 'completed', 1, true, 9, {NOW})",
            t=f"tutorial of {concept_id}{suffix}",
            c=concept_id,
            r=roadmap_id,
            u=f"{roadmap_id}/concepts/{concept_id}/v1.md",
        )
        self.execute(
            "INSERT INTO resource_recommendation_metadata VALUES "
            f'(:i, :c, :r, \'[{{"url":  "https://example.org"}}]\', 1, \'["q"]\', {NOW})',
            i=f"resources of {concept_id}{suffix}",
            c=concept_id,
            r=roadmap_id,
        )
        self.execute(
            f'INSERT INTO quiz_metadata VALUES (:q, :c, :r, \'[{{"b":  1, "a": 2}}]\', 1, 1, 0, 0, {NOW})',
            q=f"quiz of {concept_id}{suffix}",
            c=concept_id,
            r=roadmap_id,
        )
        for kind in LATER_KINDS:
            if self.has(kind.table):
                row = kind.to_row(roadmap_id, concept_id, content_of(kind.content_type, concept_id))
                self.execute(kind.sql.save, **save_parameters(roadmap_id, [row]))

    def answer(self, quiz_id: str, attempt_id: str, user_id: str = USER) -> None:
        """A learner's attempt at a quiz."""
        self.execute(
            "INSERT INTO quiz_attempts (id, user_id, roadmap_id, concept_id, quiz_id, total_questions, "
            "correct_answers, score_percentage, attempted_at) "
            f"SELECT :a, :u, roadmap_id, concept_id, quiz_id, 1, 1, 80, {NOW} FROM quiz_metadata "
            "WHERE quiz_id = :q",
            a=attempt_id,
            u=user_id,
            q=quiz_id,
        )

    def everything(self) -> dict[str, list[str]]:
        """Every row of every table of the product as text, to compare every character."""
        tables = [
            row["table_name"]
            for row in self.rows(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema() "
                "AND table_type = 'BASE TABLE' AND table_name NOT LIKE 'content\\_%' "
                "AND table_name <> 'generation_tokens'"
            )
        ]
        return {
            table: sorted(
                row["line"] for row in self.rows(f"SELECT CAST(to_json(t) AS text) AS line FROM {table} t")
            )
            for table in tables
        }
