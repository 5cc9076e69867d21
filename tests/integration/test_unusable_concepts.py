"""One concept of thirty has no usable id: the other twenty-nine are saved, and the task names the place."""

import json
from typing import Any

import pytest

from roadmap_content.contracts.errors import ContentIncomplete, InvalidFrameworkError
from roadmap_content.contracts.payloads import Execution
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.runs.steps.await_redrive import AwaitRedriveRequest, FinalizedOutcome, await_redrive
from tests.support.evidence import Log
from tests.support.factories import USER, bundle_of, concept_ids, concepts_of
from tests.support.oracle import Oracle
from tests.support.pipeline import S3, Pipeline
from tests.support.requests_to_api import Ask

IDS = concept_ids(30)
PLACE = "framework_data.stages["
UNUSABLE: dict[str, Any] = {
    "NUL": "a\x00",
    "half an emoji": "\ud83d",
    "empty": "",
    "null": None,
    "a number": 5,
    "repeated": IDS[3],
}


def load(pipeline: Pipeline, *unusable: Any) -> dict[str, Any]:
    """Load a roadmap, and change the ids of its last concepts; return its framework."""
    pipeline.load(bundle_of(IDS))
    framework = pipeline.framework()
    nodes = concepts_of(framework)
    for node, concept_id in zip(reversed(nodes), unusable, strict=False):
        node["concept_id"] = concept_id
    pipeline.execute("UPDATE roadmap_metadata SET framework_data = CAST(:f AS json)", f=json.dumps(framework))
    return framework


@pytest.mark.parametrize("concept_id", UNUSABLE.values(), ids=UNUSABLE)
def test_the_other_concepts_are_saved_and_the_task_names_the_place(
    pipeline: Pipeline, ask: Ask, concept_id: Any
) -> None:
    framework = load(pipeline, concept_id)
    result = pipeline.run()
    assert (result.complete, sum(result.missing.values())) == (False, 0)
    task = pipeline.task()
    assert task["status"] == "partial_failure"
    assert task["error_message"].startswith("InvalidFramework: ")
    assert PLACE in task["error_message"]
    saved = pipeline.rows("SELECT DISTINCT concept_id FROM quiz_metadata")
    assert {row["concept_id"] for row in saved} == set(IDS[:29])

    status = ask("GET", "/tasks/t-1", {"user_id": USER}).body
    (place,) = status["skipped_concepts"]
    assert PLACE in place
    assert status["progress"]["quiz"]["total"] == 29
    assert status["actions"]["retry"] is False
    assert status["turn"]["who"] == "person"
    for query in ({}, {"dry_run": "true"}):
        reply = ask("POST", "/tasks/t-1/retry", {"user_id": USER} | query)
        assert (reply.status, reply.body["error"]) == (409, "InvalidFramework")
        assert place in reply.body["message"]
    assert pipeline.sweep().repairs == []
    assert pipeline.task() == task
    oracle = Oracle(pipeline.engine, S3.client, "content", bundle_of(IDS), Log(framework=framework))
    oracle.require(oracle.at_any_time(), oracle.at_rest())


def test_no_way_leads_to_completed(pipeline: Pipeline, ask: Ask) -> None:
    """A redrive, and the cancellation of a regeneration, which leaves a complete task completed."""
    load(pipeline, 5)
    pipeline.run()
    before = pipeline.task()
    for query in ({}, {"dry_run": "true"}):
        reply = ask("POST", "/tasks/t-1/retry", {"user_id": USER, "force_checkpoint": "true"} | query)
        assert (reply.status, reply.body["error"]) == (409, "InvalidFramework")
    assert pipeline.task() == before
    redriven = AwaitRedriveRequest(
        outcome=FinalizedOutcome(
            task_id="t-1",
            attempt=1,
            status="partial_failure",
            complete=False,
            missing={},
            planned_redrive_count=0,
        ),
        execution=Execution(arn=before["execution_arn"], redrive_count=1),
    )
    with pytest.raises(ContentIncomplete, match="InvalidFramework"):
        await_redrive(redriven, pipeline.services, Deadline.after(60))

    again = {"user_id": USER, "concept_id": IDS[0], "content_type": "quiz", "regenerate": "true"}
    assert ask("POST", "/tasks/t-1/retry", again).status == 202
    assert ask("POST", "/tasks/t-1/cancel", {"user_id": USER}).body["status"] == "cancelled"


def test_what_is_missing_beside_it_is_retried(pipeline: Pipeline, ask: Ask) -> None:
    load(pipeline, 5)
    pipeline.run()
    pipeline.execute("DELETE FROM quiz_metadata WHERE concept_id = :c", c=IDS[0])
    reply = ask("POST", "/tasks/t-1/retry", {"user_id": USER})
    assert (reply.status, reply.body["total_items"]) == (202, 1)


def test_the_task_is_complete_when_the_product_has_corrected_the_id(pipeline: Pipeline) -> None:
    load(pipeline, None)
    pipeline.run()
    bundle = bundle_of(IDS)
    pipeline.execute(
        "UPDATE roadmap_metadata SET framework_data = CAST(:f AS json)",
        f=json.dumps(bundle["roadmap"]["framework_data"]),
    )
    assert pipeline.run().complete
    assert pipeline.task()["status"] == "completed"


def test_without_any_usable_id_the_task_fails(pipeline: Pipeline) -> None:
    load(pipeline, *[None] * len(IDS))
    assert pipeline.run().status == "failed"
    assert pipeline.task()["error_message"].startswith(f"InvalidFramework: {PLACE}0]")
    with pytest.raises(InvalidFrameworkError, match="concept_id is not a text"):
        pipeline.retry()
