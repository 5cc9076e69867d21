"""Unusual values in the product's rows, and refusals of its constraints, affect only that row or task."""

import json
import random
from typing import Any

import pytest

from roadmap_content.contracts.errors import ContentError
from roadmap_content.runs.reconciliation.reconcile import (
    NotReconciledError,
)
from tests.support.factories import TYPES, bundle_of, concept_ids, counts
from tests.support.pipeline import Pipeline

IDS = concept_ids(10)

DIGITS = "9" * 5_000

# Rows that PostgreSQL stores and that Python cannot read in the usual way.
UNDECODABLE = {
    "5,000 digits in failed_concepts": f"failed_concepts = '{DIGITS}'",
    "5,000 digits in execution_summary": (
        f'execution_summary = \'{{"attempt": 1, "duration_seconds": {DIGITS}}}\''
    ),
    "400 digits in execution_summary": (
        f'execution_summary = \'{{"attempt": 1, "duration_seconds": {DIGITS[:400]}}}\''
    ),
    "1e400 in execution_summary": 'execution_summary = \'{"attempt": 1, "duration_seconds": 1e400}\'',
    "a deep failed_concepts": f"failed_concepts = '{'[' * 6_000}{']' * 6_000}'",
    "updated_at is -infinity": "updated_at = '-infinity'",
    "updated_at is infinity": "updated_at = 'infinity'",
    "updated_at before Christ": "updated_at = '4000-01-01 BC'",
    "updated_at in the year 20000": "updated_at = '20000-01-01'",
    "completed_at is infinity": "completed_at = 'infinity'",
}

STUCK = """
UPDATE roadmap_tasks SET status = 'processing', attempt = 1, execution_arn = 'arn:gone',
    updated_at = now() - CASE task_id WHEN 't-1' THEN interval '2 hours' ELSE interval '1 hour' END
"""

TRIGGER = """
CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF {condition} THEN
        RAISE EXCEPTION 'secret content of the row: %', NEW USING ERRCODE = '{sqlstate}';
    END IF;
    RETURN NEW;
END $$
"""


def two_stuck_tasks(pipeline: Pipeline) -> None:
    """`t-1` and then `t-2`, both in `processing` after their runs have ended."""
    for number in (1, 2):
        other = Pipeline(pipeline.services, f"t-{number}", pipeline.engine)
        other.load(bundle_of([f"c-{number}"], roadmap_id=f"r-{number}", task_id=f"t-{number}"))
    pipeline.execute(STUCK)


def statuses(pipeline: Pipeline) -> dict[str, str]:
    return {
        row["task_id"]: row["status"] for row in pipeline.rows("SELECT task_id, status FROM roadmap_tasks")
    }


def test_a_row_that_python_cannot_read_is_reconciled_like_any_other(pipeline: Pipeline) -> None:
    tasks = {f"t-{number}": change for number, change in enumerate(UNDECODABLE.values())} | {"plain": ""}
    each = [Pipeline(pipeline.services, task_id, pipeline.engine) for task_id in tasks]
    for one in each:
        one.load(bundle_of([f"c-{one.task_id}"], roadmap_id=f"r-{one.task_id}", task_id=one.task_id))
    pipeline.execute(STUCK)
    for task_id, change in tasks.items():
        if change:
            pipeline.execute(f"UPDATE roadmap_tasks SET {change} WHERE task_id = :id", id=task_id)
    pipeline.sweep()
    assert statuses(pipeline) == dict.fromkeys(tasks, "failed")
    for one in each:
        assert one.status().status == "failed"
        assert one.run().complete


def test_a_row_that_a_trigger_refuses_is_reported_and_the_sweep_continues(pipeline: Pipeline) -> None:
    two_stuck_tasks(pipeline)
    pipeline.execute(TRIGGER.format(condition="false", sqlstate="P0001"))
    pipeline.execute(
        "CREATE TRIGGER refuse BEFORE UPDATE ON roadmap_tasks FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    for sqlstate in ("U0001", "P0001", "42501", "XX000", "0A000"):
        pipeline.execute(TRIGGER.format(condition="false", sqlstate=sqlstate))
        pipeline.execute(STUCK)
        pipeline.execute(TRIGGER.format(condition="NEW.task_id = 't-1'", sqlstate=sqlstate))
        with pytest.raises(NotReconciledError, match="t-1") as caught:
            pipeline.sweep()
        assert sqlstate in str(caught.value)
        assert "secret" not in str(caught.value)
        assert statuses(pipeline) == {"t-1": "processing", "t-2": "failed"}


def test_an_unforeseen_error_affects_only_its_task(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    from roadmap_content.runs.reconciliation import task_repair as module

    two_stuck_tasks(pipeline)
    end_attempt = module.end_attempt  # type: ignore[attr-defined]

    def fail(connection: Any, services: Any, task_id: str, *rest: Any) -> Any:
        if task_id == "t-1":
            raise KeyError("secret content of the row")
        return end_attempt(connection, services, task_id, *rest)

    monkeypatch.setattr(module, "end_attempt", fail)
    with pytest.raises(NotReconciledError, match=r"t-1 .*KeyError") as caught:
        pipeline.sweep()
    assert "secret" not in str(caught.value)
    assert statuses(pipeline)["t-2"] == "failed"


FOREIGN = ["P0001", "P0004", "U0001", "42501", "XX000", "22023", "23514"]
"""One of each class; P0004, which PL/pgSQL's `OTHERS` does not catch; and one of no class."""


@pytest.mark.parametrize("when", ["at once", "at the COMMIT"])
def test_a_refused_row_affects_no_other_row_under_any_sqlstate(pipeline: Pipeline, when: str) -> None:
    timing = "BEFORE INSERT" if when == "at once" else "AFTER INSERT"
    deferred = "" if when == "at once" else "DEFERRABLE INITIALLY DEFERRED"
    kind = "TRIGGER" if when == "at once" else "CONSTRAINT TRIGGER"
    pipeline.execute(TRIGGER.format(condition="false", sqlstate="P0001"))
    pipeline.execute(
        f"CREATE {kind} refuse {timing} ON quiz_metadata {deferred} FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    for sqlstate in FOREIGN:
        pipeline.task_id = f"t-{sqlstate}"
        ids = concept_ids(4, f"r-{sqlstate}")
        pipeline.load(bundle_of(ids, roadmap_id=f"r-{sqlstate}", task_id=pipeline.task_id))
        pipeline.execute(TRIGGER.format(condition=f"NEW.concept_id = '{ids[3]}'", sqlstate=sqlstate))
        assert pipeline.run().missing == counts(quiz=1), sqlstate
        (failed,) = pipeline.task()["failed_concepts"]["items"]
        assert (failed["concept_id"], failed["error_code"], failed["stage"]) == (ids[3], sqlstate, "save")
        assert "secret" not in failed["reason"]
        assert failed["reason"]


def test_content_refused_with_an_unclassified_sqlstate_is_kept(pipeline: Pipeline) -> None:
    """It is unknown whether other content would be accepted, so it is not generated again."""
    pipeline.load(bundle_of(IDS))
    pipeline.execute(TRIGGER.format(condition=f"NEW.concept_id = '{IDS[3]}'", sqlstate="U0001"))
    pipeline.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON quiz_metadata FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    pipeline.run()
    staged = pipeline.bucket.get(f"staged/items/r-1/quiz/{IDS[3]}.json")
    pipeline.run()
    assert pipeline.bucket.get(f"staged/items/r-1/quiz/{IDS[3]}.json") == staged
    pipeline.execute("DROP TRIGGER refuse ON quiz_metadata")
    assert pipeline.run().complete


def long_id(length: int) -> str:
    """An incompressible text."""
    letters = random.Random(1)  # noqa: S311 - not a secret
    return "".join(chr(letters.randrange(0x4E00, 0x9FFF)) for _ in range(length))


@pytest.mark.parametrize("length", [900, 20_000])
def test_a_concept_id_too_long_for_an_index_fails_only_its_own_items(pipeline: Pipeline, length: int) -> None:
    ids = [*IDS[:9], long_id(length)]
    bundle = bundle_of(ids)
    bundle["content"] = [entry for entry in bundle["content"] if entry["concept_id"] in IDS[:5]]
    pipeline.load(bundle)
    for _ in range(2):
        result = pipeline.run()
        assert (result.status, result.missing) == (
            "partial_failure",
            counts(1),
        )
        failed = pipeline.task()["failed_concepts"]
        assert failed["concept_ids"] == [ids[9]]
        assert {entry["error_code"] for entry in failed["items"]} == {"ConceptIdTooLong"}
        assert len(pipeline.status().failed_items) == TYPES


def test_the_longest_concept_id_that_is_taken_is_saved(pipeline: Pipeline) -> None:
    ids = ["a", long_id(860)]
    pipeline.load(bundle_of(ids))
    assert pipeline.run().complete


def test_the_error_of_a_renamed_column_shows_no_sql(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(IDS))
    pipeline.execute("ALTER TABLE tutorial_metadata RENAME COLUMN summary TO secret")
    try:
        pipeline.run()
    except ContentError as error:
        assert "SELECT" not in str(error)  # noqa: PT017 - the error is either raised or recorded
    pipeline.execute("ALTER TABLE tutorial_metadata RENAME COLUMN secret TO summary")
    said = json.dumps([pipeline.rows("SELECT * FROM content_failures"), pipeline.task()], default=str)
    for word in ("SELECT", "INSERT", "FROM tutorial_metadata", "sqlalche.me", "column t."):
        assert word not in said


def test_a_refusal_does_not_contain_the_refused_values(
    pipeline: Pipeline, caplog: pytest.LogCaptureFixture
) -> None:
    pipeline.load(bundle_of(IDS))
    pipeline.execute("ALTER TABLE roadmap_metadata ADD CHECK (length(framework_data::text) < 100) NOT VALID")
    pipeline.run()
    assert "framework_data_refused" in caplog.text
    said = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert "Failing row contains" not in said
    assert "What concept 1 is about" not in said
