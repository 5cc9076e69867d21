"""The steps on real PostgreSQL: saved content equals staged content, and the outcome equals the tables."""

import json
from typing import Any

import pytest

from roadmap_content.api.history import list_attempts
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.contracts.errors import (
    StaleAttemptError,
    StorageUnavailableError,
    UnexpectedError,
)
from roadmap_content.contracts.items import ContentType, Failure, Item, Stage
from roadmap_content.contracts.payloads import Execution, RunInput, StateError
from roadmap_content.platform.postgres.transactions import TIME_FOR_ANOTHER
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.platform.storage.keys import (
    fingerprint,
    rejected_key,
    staged_key,
    text_key,
)
from roadmap_content.runs.reconciliation.superseded import count_superseded
from roadmap_content.runs.steps import accounting
from roadmap_content.runs.steps.accounting import LostBatch
from roadmap_content.runs.steps.handler import step_handler
from roadmap_content.runs.steps.plan import PlanRequest, plan_batches
from roadmap_content.state.failures.failures import record_failures, refusals
from roadmap_content.state.tasks.attempts import uncounted_attempts
from tests.support.factories import (
    OURS,
    TYPES,
    bundle_of,
    concept_ids,
    counts,
    framework_of,
    quiz,
    resources,
    tutorial,
    without_ours,
)
from tests.support.pipeline import SETTINGS, Pipeline
from tests.support.requests_to_api import Context

IDS = concept_ids(24)


def test_a_run_without_faults_saves_everything_as_staged(pipeline: Pipeline) -> None:
    bundle = bundle_of(IDS)
    pipeline.load(bundle)
    result = pipeline.run()

    assert (result.status, result.complete, set(result.missing.values())) == ("completed", True, {0})
    for entry in bundle["content"]:
        concept_id, expected = entry["concept_id"], entry["tutorial"]
        (row,) = pipeline.rows("SELECT * FROM tutorial_metadata WHERE concept_id = :id", id=concept_id)
        url = text_key("r-1", concept_id, tutorial(concept_id)["markdown"].encode())
        assert {key: row[key] for key in expected if key != "markdown"} == {
            key: value for key, value in expected.items() if key != "markdown"
        }
        assert (row["content_url"], row["is_latest"], row["content_status"]) == (url, True, "completed")
        stored = pipeline.bucket.get(url)
        assert stored is not None
        assert stored.body.decode() == expected["markdown"]
        (row,) = pipeline.rows(
            "SELECT * FROM resource_recommendation_metadata WHERE concept_id = :id", id=concept_id
        )
        assert {key: row[key] for key in entry["resources"]} == entry["resources"]
        assert row["resources_count"] == len(entry["resources"]["resources"])
        (row,) = pipeline.rows("SELECT * FROM quiz_metadata WHERE concept_id = :id", id=concept_id)
        assert {key: row[key] for key in entry["quiz"]} == entry["quiz"]
        assert (row["easy_count"], row["medium_count"], row["hard_count"]) == (1, 1, 1)

        concept = pipeline.concepts()[concept_id]
        assert {key: concept[key] for key in OURS} == {
            "content_status": "completed",
            "tutorial_id": expected["tutorial_id"],
            "content_ref": url,
            "content_version": "v1",
            "content_summary": expected["summary"][:300],
            "resources_status": "completed",
            "resources_id": entry["resources"]["id"],
            "resources_count": 2,
            "quiz_status": "completed",
            "quiz_id": entry["quiz"]["quiz_id"],
            "quiz_questions_count": 3,
        } | pipeline.later_fields(concept_id)
    assert without_ours(pipeline.framework()) == without_ours(bundle["roadmap"]["framework_data"])
    task = pipeline.task()
    assert (task["status"], task["attempt"], task["failed_concepts"], task["error_message"]) == (
        "completed",
        1,
        None,
        None,
    )
    assert task["completed_at"] is not None
    assert task["execution_summary"]["quiz"] == {"total": 24, "completed": 24, "failed": 0}


ODD = (
    "a:b:c", "a/b/../c", "..", "'; DROP TABLE quiz_metadata; --", '"q"', " ", "{%s}:x", "a~b",
    "x" * 300, "漢" * 300,
)  # fmt: skip


@pytest.mark.parametrize("roadmap_id", ["/".join(ODD), ".."], ids=["each", ".."])
def test_unusual_ids_are_accepted(pipeline: Pipeline, roadmap_id: str) -> None:
    pipeline.load(bundle_of(ODD, roadmap_id=roadmap_id))
    assert pipeline.run().status == "completed"
    concepts = pipeline.concepts()
    assert {odd: concepts[odd]["content_status"] for odd in ODD} == dict.fromkeys(ODD, "completed")


def test_items_that_are_not_staged_are_generated_and_counted(pipeline: Pipeline) -> None:
    bundle = bundle_of(IDS)
    bundle["content"] = bundle["content"][:10]
    del bundle["content"][0]["quiz"]
    pipeline.load(bundle)
    assert pipeline.run().status == "completed"
    generated = counts(14, quiz=15)
    assert pipeline.task()["execution_summary"]["generated"] == generated
    progress = pipeline.status().progress
    assert {str(name): each.generated for name, each in progress.items()} == generated
    (row,) = pipeline.rows("SELECT questions FROM quiz_metadata WHERE concept_id = :id", id=IDS[0])
    assert len(row["questions"]) == 4


def test_staged_items_are_planned_in_large_batches_and_refused_ones_in_small(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(IDS))
    refused = Item(IDS[0], ContentType.QUIZ)
    pipeline.stage(refused, b"{}")
    with pipeline.engine.begin() as connection:
        failure = Failure(refused, Stage.SAVE, "InvalidContent", "no", False, fingerprint(b"{}"))
        record_failures(connection, "t-1", 1, [failure])
    absent = Item(IDS[1], ContentType.QUIZ)
    pipeline.bucket.delete(staged_key(pipeline.roadmap_id, absent))

    planned = pipeline.plan()
    assert [(batch.items, batch.staged) for batch in planned.batches] == [
        ({ContentType.QUIZ: 2}, False),
        (counts(24, quiz=22), True),
    ]


def test_invalid_content_fails_alone_and_is_repaired_by_the_next_attempt(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(["elsewhere"], roadmap_id="r-0", task_id="t-0"))
    other = Pipeline(pipeline.services, "t-0", pipeline.engine)
    other.roadmap_id = "r-0"
    assert other.run().complete
    taken = tutorial("elsewhere")["tutorial_id"]

    pipeline.load(bundle_of(IDS))
    duplicate = quiz(IDS[7])["quiz_id"]
    poison = {
        Item(IDS[0], ContentType.TUTORIAL): tutorial(IDS[0], tutorial_id=taken),
        Item(IDS[1], ContentType.QUIZ): quiz(IDS[1], note="\x00"),
        Item(IDS[2], ContentType.RESOURCES): resources(IDS[2], note="\ud800"),
        Item(IDS[3], ContentType.TUTORIAL): tutorial(IDS[3], title="x" * 501),
        Item(IDS[4], ContentType.TUTORIAL): tutorial(IDS[4], content_version="one"),
        Item(IDS[8], ContentType.QUIZ): quiz(IDS[8], quiz_id=duplicate),
    }
    for item, content in poison.items():
        pipeline.stage(item, json.dumps(content).encode())
    broken = Item(IDS[5], ContentType.QUIZ)
    pipeline.stage(broken, b'{"quiz_id": ')

    first = pipeline.run()

    failed = pipeline.task()["failed_concepts"]
    found = {(item["concept_id"], item["content_type"]): item["error_code"] for item in failed["items"]}
    assert found == dict.fromkeys([*poison, broken], "InvalidContent") | {
        Item(IDS[0], ContentType.TUTORIAL): "IdTaken",
        Item(IDS[8], ContentType.QUIZ): "IdTaken",
    }
    assert (first.status, failed["count"]) == ("partial_failure", 7)
    assert failed["concept_ids"] == [IDS[number] for number in (0, 1, 2, 3, 4, 5, 8)]
    assert all(item["stage"] == "save" and item["reason"] for item in failed["items"])
    assert pipeline.concepts()[IDS[0]]["content_status"] == "failed"
    assert pipeline.concepts()[IDS[0]]["quiz_status"] == "completed"
    before = pipeline.rows("SELECT * FROM tutorial_metadata ORDER BY tutorial_id")

    planned = pipeline.plan()
    assert sum(planned.plan.planned.values()) == 7
    pipeline.finalize(planned)
    second = pipeline.run()

    assert second.status == "completed"
    (row,) = pipeline.rows("SELECT * FROM tutorial_metadata WHERE concept_id = :id", id=IDS[0])
    assert row["tutorial_id"] != taken
    text = pipeline.bucket.get(row["content_url"])
    assert text is not None
    assert text.body.decode() == tutorial(IDS[0])["markdown"]  # the content is kept, only the id is new
    rejected = pipeline.bucket.get(rejected_key("r-1", broken, 1, fingerprint(b'{"quiz_id": ')))
    assert rejected is not None
    assert rejected.body == b'{"quiz_id": '
    assert rejected.metadata["error-code"] == "InvalidContent"
    after = pipeline.rows("SELECT * FROM tutorial_metadata ORDER BY tutorial_id")
    assert all(row in after for row in before)
    failures = pipeline.rows("SELECT * FROM content_failures WHERE task_id = 't-1' AND attempt = 3")
    assert failures == []


def test_a_batch_reads_only_the_refusals_of_its_own_items(pipeline: Pipeline) -> None:
    awkward = ["a:b", 'it\'s "quoted" \\ {1}', "温度"]
    pipeline.load(bundle_of([*awkward, *IDS]))
    for concept_id in (*awkward, *IDS):
        for content_type in (ContentType.QUIZ, ContentType.RESOURCES):
            pipeline.stage(Item(concept_id, content_type), b"{}")
    pipeline.run()
    with pipeline.engine.connect() as connection:
        recalled = refusals(connection, "t-1", [Item(each, ContentType.QUIZ) for each in awkward])
    assert recalled.keys() == {Item(concept_id, ContentType.QUIZ) for concept_id in awkward}


def test_an_item_after_the_time_of_the_invocation_is_tried_again(pipeline: Pipeline) -> None:
    pipeline.load({**bundle_of(IDS[:1]), "content": []})
    pipeline.stage(Item(IDS[0], ContentType.QUIZ), b"{}")
    (request,) = pipeline.requests(pipeline.plan())
    assert pipeline.generate(request, TIME_FOR_ANOTHER - 1).failed == TYPES - 1  # what is staged is saved
    assert pipeline.rows("SELECT DISTINCT error_code, transient FROM content_failures") == [
        {"error_code": "OutOfTime", "transient": True}
    ]


def test_an_error_without_a_name_is_reported_without_its_text(pipeline: Pipeline) -> None:
    def step(*_: object) -> Any:
        raise KeyError("a secret")

    with pytest.raises(UnexpectedError, match=r"^KeyError in step \(test_pipeline\.py:\d+\)$"):
        step_handler(PlanRequest, step, pipeline.services)(
            pipeline.start().plan_request().model_dump(mode="json"), Context()
        )


def test_a_refusal_by_save_alone_is_enough_for_the_remedy(pipeline: Pipeline) -> None:
    """Generate fails in the first attempt, so that only Save records the refusal."""
    pipeline.load(bundle_of(["a"]))
    item = Item("a", ContentType.QUIZ)
    pipeline.stage(item, b"cut o")
    planned = pipeline.plan()
    for request in pipeline.requests(planned):
        pipeline.save(request)
    assert not pipeline.finalize(planned).complete
    assert pipeline.run().complete


def test_content_with_another_fingerprint_is_not_rejected(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(["a"]))
    item = Item("a", ContentType.QUIZ)
    refusal = Failure(item, Stage.SAVE, "InvalidContent", "why", False, fingerprint(b"bad"))
    pipeline.stage(item, b"good")
    pipeline.staging().reject(item, refusal, 1)
    assert pipeline.staging().read(item) == b"good"


def test_rejected_content_is_not_overwritten_by_a_later_rejection(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(["a"]))
    item = Item("a", ContentType.QUIZ)
    for body in (b"one", b"two"):
        refusal = Failure(item, Stage.SAVE, "InvalidContent", "why", False, fingerprint(body))
        pipeline.stage(item, body)
        pipeline.staging().reject(item, refusal, 1)
    kept = [pipeline.bucket.get(rejected_key("r-1", item, 1, fingerprint(body))) for body in (b"one", b"two")]
    assert [found and found.body for found in kept] == [b"one", b"two"]


def test_only_the_highest_version_becomes_latest(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(["a", "b"]))
    planned = pipeline.plan()
    (request,) = pipeline.requests(planned)
    latest = "SELECT content_version FROM tutorial_metadata WHERE concept_id = 'a' AND is_latest"

    for version, highest in ((2, 2), (1, 2), (3, 3)):
        content = tutorial("a", version=version)
        pipeline.stage(Item("a", ContentType.TUTORIAL), json.dumps(content).encode())
        assert pipeline.save(request).saved == 2 * TYPES
        assert pipeline.rows(latest) == [{"content_version": highest}]

    pipeline.finalize(planned)
    assert pipeline.concepts()["a"]["content_version"] == "v3"


PREPARE = (
    "INSERT INTO tutorial_metadata (tutorial_id, concept_id, roadmap_id, title, summary, content_url,"
    " content_status, content_version, is_latest, estimated_completion_time, generated_at)"
    " VALUES (:id, 'a', 'r-1', 'soon', '', '', 'pending', 1, true, 0, now())"
)


def test_a_version_that_the_product_prepared_with_another_id_is_taken(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(["a", "b"]))
    pipeline.execute(PREPARE, id="theirs")
    assert pipeline.run().missing[ContentType.TUTORIAL] == 1
    assert pipeline.task()["failed_concepts"]["items"][0]["error_code"] == "VersionTaken"

    assert pipeline.run().complete
    rows = pipeline.rows("SELECT * FROM tutorial_metadata WHERE concept_id = 'a' ORDER BY content_version")
    assert [(row["content_version"], row["is_latest"]) for row in rows] == [(1, False), (2, True)]
    written = pipeline.bucket.get(rows[1]["content_url"])
    assert written is not None
    assert written.body.decode() == tutorial("a")["markdown"]


def test_a_row_that_the_product_prepared_is_completed_in_place(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(["a", "b"]))
    pipeline.execute(PREPARE, id=tutorial("a")["tutorial_id"])
    assert pipeline.run().complete
    (row,) = pipeline.rows("SELECT * FROM tutorial_metadata WHERE concept_id = 'a'")
    assert (row["title"], row["content_status"], row["is_latest"]) == ("About a", "completed", True)


@pytest.mark.parametrize(
    ("content_type", "column", "same"),
    [
        (ContentType.TUTORIAL, "title", tutorial("x", title="the same")),
        (ContentType.RESOURCES, "resources_count", resources("x")),
        (ContentType.QUIZ, "total_questions", quiz("x")),
    ],
)
def test_a_violated_unique_constraint_of_the_product_is_named_and_the_id_is_kept(
    pipeline: Pipeline, content_type: ContentType, column: str, same: dict[str, Any]
) -> None:
    pipeline.load(bundle_of(IDS[:2]))
    kind = CONTENT_KINDS[content_type]
    table = f"{content_type}_metadata".replace("resources", "resource_recommendation")
    pipeline.execute(f"ALTER TABLE {table} ADD CONSTRAINT own_rule UNIQUE (roadmap_id, {column})")
    contents = {
        item: same | {kind.id_field: f"{content_type} of {item.concept_id}"}
        for item in (Item(concept_id, content_type) for concept_id in IDS[:2])
    }
    for item, content in contents.items():
        pipeline.stage(item, json.dumps(content).encode())

    for _ in range(2):
        pipeline.run()
        (item,) = (
            item
            for item in pipeline.task()["failed_concepts"]["items"]
            if item["content_type"] == content_type
        )
        assert item["error_code"] == "23505"
        assert "own_rule" in item["reason"]

    pipeline.execute(f"ALTER TABLE {table} DROP CONSTRAINT own_rule")
    assert pipeline.run().complete
    saved = pipeline.rows(f"SELECT {kind.id_field} AS id FROM {table}")
    assert {row["id"] for row in saved} == {content[kind.id_field] for content in contents.values()}


DELETIONS = ["DELETE FROM roadmap_metadata", "UPDATE roadmap_metadata SET deleted_at = now()"]


@pytest.mark.parametrize("deletion", DELETIONS)
def test_nothing_is_generated_for_a_roadmap_that_was_deleted_during_the_run(
    pipeline: Pipeline, deletion: str
) -> None:
    """Regression: where its row was gone, everything was generated and paid, and then refused."""
    pipeline.load(bundle_of(["a"]) | {"content": []})
    planned = pipeline.plan()
    pipeline.execute(deletion)
    reports = list(map(pipeline.generate, pipeline.requests(planned)))
    assert [(report.generated, report.failed) for report in reports] == [(0, TYPES)]


@pytest.mark.parametrize("deletion", DELETIONS)
def test_a_roadmap_deleted_during_the_run_leaves_its_content_staged(
    pipeline: Pipeline, deletion: str
) -> None:
    pipeline.load(bundle_of(["a"]))
    planned = pipeline.plan()
    pipeline.execute(deletion)
    shown = "SELECT CAST(framework_data AS text) FROM roadmap_metadata"
    before = pipeline.rows(shown)
    reports = [pipeline.save(request) for request in pipeline.requests(planned)]
    assert [(report.saved, report.failed) for report in reports] == [(0, TYPES)]
    assert {row["error_code"] for row in pipeline.rows("SELECT * FROM content_failures")} == {
        "RoadmapNotFound"
    }
    assert pipeline.staging().read(Item("a", ContentType.QUIZ)) is not None
    pipeline.finalize(planned)
    task = pipeline.task()
    assert task["error_message"].startswith("RoadmapNotFound: ")
    assert not task["execution_summary"].keys() & set(map(str, ContentType))
    assert pipeline.rows(shown) == before
    pipeline.sweep()
    require_unknown_counts(pipeline)


def require_unknown_counts(pipeline: Pipeline) -> None:
    """The attempt has ended, and its counts are unknown: not 0, and the sweep does not count again."""
    (attempt,) = pipeline.rows("SELECT * FROM content_attempts")
    assert attempt["ended_at"] is not None
    assert (attempt["planned"], attempt["saved"], attempt["failed"]) == (counts(1), {}, {})
    with pipeline.engine.connect() as connection:
        assert uncounted_attempts(connection, 10) == []
        (shown,) = list_attempts(connection, "t-1", None, None, 10).items
    assert (shown.planned, shown.saved, shown.failed, shown.not_started) == (counts(1), None, None, None)


@pytest.mark.parametrize("status", ["failed", "processing"])
def test_an_attempt_of_an_unreadable_roadmap_has_unknown_counts(pipeline: Pipeline, status: str) -> None:
    """It has ended with its task, or a later claim has superseded it, and the sweep counts it."""
    pipeline.load(bundle_of(["a"]))
    planned = pipeline.plan()
    pipeline.execute("UPDATE roadmap_tasks SET status = :status", status=status)
    pipeline.execute("UPDATE roadmap_metadata SET deleted_at = now()")
    if status == "failed":
        assert pipeline.finalize(planned).missing == {}
    else:
        pipeline.execute(
            "UPDATE content_attempts SET step = 'ended', ended_at = now(), outcome = 'superseded'"
        )
        count_superseded(pipeline.services, Deadline.after(60))
    require_unknown_counts(pipeline)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            "UPDATE roadmap_metadata SET framework_data = NULL",
            "InvalidFramework: framework_data is not an object",
        ),
        ("UPDATE roadmap_metadata SET deleted_at = now()", "RoadmapNotFound: roadmap 'r-1' is deleted"),
        ("UPDATE roadmap_metadata SET user_id = 'somebody'", "RoadmapNotFound: there is no roadmap 'r-1' of"),
        ("UPDATE roadmap_tasks SET roadmap_id = 'nowhere'", "RoadmapNotFound: there is no roadmap 'nowhere'"),
    ],
)
def test_an_unusable_roadmap_is_recorded_on_the_task(pipeline: Pipeline, change: str, message: str) -> None:
    pipeline.load(bundle_of(["a"]))
    pipeline.execute("ALTER TABLE roadmap_tasks DROP CONSTRAINT IF EXISTS roadmap_tasks_roadmap_id_fkey")
    pipeline.execute(change)
    result = pipeline.run()
    task = pipeline.task()
    assert (result.status, result.complete, task["status"]) == ("failed", False, "failed")
    assert task["error_message"].startswith(message)
    assert task["completed_at"] is not None


def test_a_task_without_a_roadmap_is_left_to_the_product(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(["a"]))
    pipeline.execute("UPDATE roadmap_tasks SET roadmap_id = NULL")
    before = pipeline.task()
    result = pipeline.run()
    assert (result.status, result.complete, result.attempt) == ("unrecorded", False, None)
    assert result.error is not None
    assert result.error.error == "NotAtContentStageError"
    assert pipeline.task() == before


def test_a_task_that_does_not_exist_ends_the_run_and_writes_nothing(pipeline: Pipeline) -> None:
    result = pipeline.run()
    assert (result.status, result.attempt, result.complete) == ("unrecorded", None, False)
    assert result.error is not None
    assert result.error.error == "TaskNotFoundError"


def test_changes_of_the_framework_by_the_product_survive(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(["a", "b"]))
    planned = pipeline.plan()
    changed = framework_of(["b", "new", "a"], subtitle="changed meanwhile")
    pipeline.execute("UPDATE roadmap_metadata SET framework_data = CAST(:f AS json)", f=json.dumps(changed))
    for request in pipeline.requests(planned):
        pipeline.save(request)
    result = pipeline.finalize(planned)
    assert without_ours(pipeline.framework()) == without_ours(changed)
    assert set(result.missing.values()) == {1}
    assert pipeline.task()["failed_concepts"]["concept_ids"] == ["new"]
    assert pipeline.concepts()["a"]["content_status"] == "completed"


def test_a_concept_that_was_added_after_the_attempt_is_not_its_failure(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(["a"]))
    pipeline.run()
    framework = json.dumps(framework_of(["a", "b"]))
    pipeline.execute("UPDATE roadmap_metadata SET framework_data = CAST(:f AS json)", f=framework)
    pipeline.finalize(None)
    failures = pipeline.rows("SELECT concept_id, error_code, reason, transient FROM content_failures")
    assert {tuple(row.values()) for row in failures} == {
        ("b", "AddedSince", "the concept was added after the attempt", False)
    }


def test_an_item_that_an_attempt_could_not_see_is_not_added_since(pipeline: Pipeline) -> None:
    """Regression: after the deletion of its roadmap during the run was taken back."""
    pipeline.load(bundle_of(["a"]))
    planned = pipeline.plan()
    pipeline.execute("UPDATE roadmap_metadata SET deleted_at = now()")
    pipeline.finalize(planned)
    pipeline.execute("UPDATE roadmap_metadata SET deleted_at = NULL")
    pipeline.finalize(None)
    failures = pipeline.rows("SELECT DISTINCT error_code, transient FROM content_failures")
    assert [tuple(row.values()) for row in failures] == [("NotReported", True)]


def test_an_execution_that_failed_before_its_claim_does_not_change_another_executions_task(
    pipeline: Pipeline,
) -> None:
    pipeline.load(bundle_of(concept_ids(2)))
    planned = pipeline.plan()
    pipeline.runs += 1
    refused = pipeline.finalize(None, error=StateError(error="ClaimRefusedError"))
    assert (refused.attempt, refused.status) == (None, "unrecorded")
    assert pipeline.task()["attempt"] == planned.plan.attempt


def test_a_failure_is_withdrawn_if_the_item_was_saved_later(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(["a"]))
    planned = pipeline.plan()
    assert not pipeline.finalize(planned).complete
    for request in pipeline.requests(planned):
        pipeline.save(request)
    assert pipeline.finalize(planned).complete
    assert pipeline.rows("SELECT * FROM content_failures") == []
    assert pipeline.task()["failed_concepts"] is None


def test_an_older_attempt_does_not_overwrite_the_outcome_of_a_newer_one(pipeline: Pipeline) -> None:
    bundle = bundle_of(["a", "b"])
    del bundle["content"][1]["quiz"]
    pipeline.load(bundle)
    old = pipeline.plan()
    requests = pipeline.requests(old)
    pipeline.plan()
    before = pipeline.task()
    for request in requests:
        assert pipeline.save(request).saved == 2 * TYPES - 1  # valid content of an older attempt is kept
    pipeline.runs -= 1  # the older run ends
    pipeline.finalize(old)
    assert pipeline.task() == before
    assert pipeline.concepts()["a"]["content_status"] == "completed"


def test_the_end_of_an_older_run_without_a_roadmap_changes_no_attempt(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(["a"]))
    old = pipeline.plan()
    pipeline.finalize(old)
    pipeline.plan()
    pipeline.execute("UPDATE roadmap_tasks SET status = 'cancelled'; DELETE FROM roadmap_metadata")
    before = pipeline.rows("SELECT * FROM content_attempts ORDER BY attempt")
    pipeline.runs -= 1
    pipeline.finalize(old)
    assert pipeline.rows("SELECT * FROM content_attempts ORDER BY attempt") == before


def test_a_repair_of_a_completed_task_keeps_its_times_and_tokens_and_shows_no_error(
    pipeline: Pipeline,
) -> None:
    bundle = bundle_of(["a", "b"])
    del bundle["content"][1]["quiz"]
    pipeline.load(bundle)
    planned = pipeline.plan()
    for request in pipeline.requests(planned):
        pipeline.generate(request)
        pipeline.save(request)
    pipeline.execute("INSERT INTO generation_tokens (task_id, tokens) VALUES ('t-1', 70)")
    pipeline.finalize(planned, error=StateError(error="States.Timeout", cause="after the last batch"))
    shown = (
        "SELECT status, error_message, completed_at, CAST(execution_summary AS text) AS summary,"
        " (SELECT sum(spent) FROM content_token_hours) AS spent FROM roadmap_tasks"
    )
    (before,) = pipeline.rows(shown)
    assert (before["status"], before["error_message"]) == ("completed", None)
    assert before["spent"] == 70
    pipeline.execute("UPDATE content_attempts SET claimed_at = claimed_at - interval '3 days'")
    pipeline.execute("UPDATE roadmap_tasks SET status = 'failed'")
    assert [repair.status for repair in pipeline.sweep().repairs] == ["completed"]
    assert pipeline.rows(shown) == [before]


def test_an_outage_of_s3_does_not_lose_the_outcome_of_a_run(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finalize reads the batches that were lost, to explain their items."""
    pipeline.load(bundle_of(["a"]))
    planned = pipeline.plan()
    lost = LostBatch(batch=planned.batches[0], error=StateError(error="Sandbox.Timedout"))
    tries = 0

    def fail(*_: object) -> None:
        nonlocal tries
        tries += 1
        raise StorageUnavailableError("GetObject: SlowDown")

    monkeypatch.setattr(accounting, "read_batch", fail)
    assert pipeline.finalize(planned, [lost] * 200).status == "failed"
    assert tries == 1, "each would take up to a minute"
    failures = pipeline.rows("SELECT DISTINCT error_code FROM content_failures")
    assert failures == [{"error_code": "NotReported"}]


def test_a_run_holds_no_more_slots_than_it_uses(pipeline: Pipeline) -> None:
    pipeline.services.settings = Settings(SETTINGS | {"BATCH_SIZE": "1", "MAX_CONCURRENCY": "5"})
    pipeline.load(bundle_of(IDS) | {"content": []})
    assert len(pipeline.plan().batches) == len(IDS)
    assert pipeline.rows("SELECT grants FROM content_queue") == [{"grants": 5}]


def test_an_attempt_of_another_execution_is_stale(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(["a"]))
    pipeline.plan()
    request = PlanRequest(input=RunInput(task_id="t-1", attempt=1), execution=Execution(arn="arn:another"))
    with pytest.raises(StaleAttemptError):
        plan_batches(request, pipeline.services, Deadline.after(600))
