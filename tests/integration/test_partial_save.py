"""A batch with rows that violate a constraint, next to rows that the save statement refuses itself."""

from tests.support.factories import bundle_of, concept_ids, quiz
from tests.support.pipeline import Pipeline


def test_refusals_of_a_statement_that_fails_are_reported_once(pipeline: Pipeline) -> None:
    """The foreign key is checked at the end of the statement, after the statement has refused another row."""
    neighbours = concept_ids(1, "r-0")
    pipeline.load(bundle_of(neighbours, roadmap_id="r-0", task_id="t-0"))
    pipeline.task_id = "t-0"
    assert pipeline.run().complete

    ids = concept_ids(12)
    taken, orphan, *good = ids
    bundle = bundle_of(ids)
    bundle["content"][0]["quiz"]["quiz_id"] = quiz(neighbours[0])["quiz_id"]
    pipeline.task_id = "t-1"
    pipeline.load(bundle)
    pipeline.execute("CREATE TABLE concept (id text PRIMARY KEY)")
    pipeline.execute("INSERT INTO concept SELECT concept_id FROM quiz_metadata")
    for concept_id in (taken, *good):
        pipeline.execute("INSERT INTO concept VALUES (:id)", id=concept_id)
    pipeline.execute("ALTER TABLE quiz_metadata ADD CONSTRAINT k FOREIGN KEY (concept_id) REFERENCES concept")

    assert not pipeline.run().complete

    failures = pipeline.rows("SELECT concept_id, error_code, reason FROM content_failures ORDER BY 1")
    assert [(row["concept_id"], row["error_code"]) for row in failures] == [
        (taken, "IdTaken"),
        (orphan, "23503"),
    ]
    assert '"k"' in failures[1]["reason"]
    saved = pipeline.rows("SELECT concept_id FROM quiz_metadata WHERE roadmap_id = 'r-1'")
    assert sorted(row["concept_id"] for row in saved) == sorted(good)


def test_rows_that_may_not_be_merged_do_not_lose_the_outcome(pipeline: Pipeline) -> None:
    """Regression: a rule of the product against their deletion ended each Finalize, for ever."""
    ids = concept_ids(2)
    pipeline.load(bundle_of(ids))
    planned = pipeline.plan()
    for request in pipeline.requests(planned):
        pipeline.save(request)
    pipeline.execute(
        "SET LOCAL session_replication_role = replica; INSERT INTO quiz_metadata"
        ' SELECT (json_populate_record(q, \'{"quiz_id": "second"}\')).* FROM quiz_metadata q'
        f" WHERE concept_id = '{ids[0]}'"
    )
    pipeline.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'a quiz is never deleted'; END $$;"
        "CREATE TRIGGER theirs BEFORE DELETE ON quiz_metadata FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    assert pipeline.finalize(planned).complete
    assert pipeline.task()["status"] == "completed"


def test_a_projection_that_is_refused_at_the_commit_does_not_lose_the_outcome(pipeline: Pipeline) -> None:
    """Regression: a deferred constraint of the product ended each Finalize, for ever."""
    pipeline.load(bundle_of(concept_ids(2)))
    planned = pipeline.plan()
    for request in pipeline.requests(planned):
        pipeline.save(request)
    pipeline.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'a framework is never changed'; END $$;"
        "CREATE CONSTRAINT TRIGGER theirs AFTER UPDATE ON roadmap_metadata DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    assert pipeline.finalize(planned).complete
    assert pipeline.task()["status"] == "completed"
