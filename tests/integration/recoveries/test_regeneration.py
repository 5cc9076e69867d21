"""A recovery replaces contents of an old model or prompt, and an undo restores the former content."""

import importlib
import json
from dataclasses import replace
from typing import Any

import pytest

from roadmap_content.capabilities.recoveries.undo import UNDO_SECONDS, undo_recovery
from roadmap_content.content.generation.offline import OfflineGenerator
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.state.recovering import recovery_of_task
from tests.integration.conftest import Send
from tests.integration.recoveries.test_recoveries import finish, run_started, turn
from tests.integration.test_content_check import ACCEPT, REJECT, checked
from tests.integration.test_instructions import ANOTHER_LIFE
from tests.integration.test_revisions import PRODUCT_WRITES, expire
from tests.support.commits import Commits, How, ProcessDied, Strike, When
from tests.support.factories import TYPES, USER, bundle_of, concept_ids, counts
from tests.support.pipeline import Pipeline, services_for
from tests.support.prepared import prepare
from tests.support.requests_to_api import OPERATOR, Ask, request

TASKS = {f"t-{number}": concept_ids(2, f"r-{number}") for number in range(2)}


@pytest.fixture
def roadmaps(pipeline: Pipeline) -> dict[str, list[str]]:
    """Two complete roadmaps by the model `old`: the concepts of each task."""
    prepare(pipeline, complete)
    return TASKS


def complete(pipeline: Pipeline) -> None:
    for number, (task_id, ids) in enumerate(TASKS.items()):
        pipeline.task_id = task_id
        pipeline.load(bundle_of(ids, roadmap_id=f"r-{number}", task_id=task_id))
        assert pipeline.run().complete
    pipeline.execute("UPDATE content_origins SET model_id = 'old', tokens_in = 100, tokens_out = 400")


def contents(pipeline: Pipeline) -> dict[tuple[str, str, str], Any]:
    """The content of every item as a learner reads it: with the texts of tutorials, without ids."""
    task_api = importlib.import_module("functions.task_api.app")
    task_api.api.services = pipeline.services
    found = {}
    for task_id, roadmap_id in (("t-0", "r-0"), ("t-1", "r-1")):
        for concept_id in concept_ids(2, roadmap_id):
            for content_type in ContentType:
                path = f"/api/v1/tasks/{task_id}/content/{content_type}"
                reply = request(task_api, "GET", path, {"concept_id": concept_id})
                assert reply.status == 200, reply.body
                identity = ("tutorial_id", "id", "quiz_id", "content_version")
                content = {k: v for k, v in reply.body["content"].items() if k not in identity}
                found[task_id, concept_id, str(content_type)] = content
    return found


def regenerate(send: Send, regenerate: dict[str, Any], **limits: Any) -> str:
    body = {"regenerate": regenerate, "reason": "a wrong key", "rate_per_minute": 6_000, **limits}
    answer = send("POST", "", body)
    assert answer.status == 201, answer.body
    return str(answer.body["recovery_id"])


def undo(send: Send, recovery_id: str) -> dict[str, Any]:
    answer = send("POST", f"/{recovery_id}/undo")
    assert answer.status == 200, answer.body
    return dict(answer.body)


def rename_concepts(pipeline: Pipeline, roadmap_id: str) -> None:
    pipeline.execute(
        "UPDATE roadmap_metadata SET framework_data = CAST(replace(CAST(framework_data AS text),"
        ' \'"name": "\', \'"name": "new \') AS json) WHERE roadmap_id = :roadmap_id',
        roadmap_id=roadmap_id,
    )


def test_what_a_model_wrote_is_replaced_and_an_undo_brings_it_back(
    pipeline: Pipeline, send: Send, roadmaps: dict[str, list[str]]
) -> None:
    before = contents(pipeline)
    recovery_id = regenerate(send, {"model_id": "old"}, concurrency=1)
    assert contents(pipeline) == before  # the old content is current until its successor is saved
    preview = "POST", f"/{recovery_id}/undo", None, {"dry_run": "true"}
    assert send(*preview).status == 409, "it has not ended"
    finish(pipeline, recovery_id)
    after = contents(pipeline)
    assert all(after[item] != before[item] for item in before)
    recovery = send("GET", f"/{recovery_id}").body
    assert (recovery["state"], recovery["counts"]["recovered"]) == ("completed", 2)
    assert recovery["filter"] == {"regenerate": {"model_id": "old"}}
    assert recovery["undone"] is None
    assert (send(*preview).body["tasks_left"], contents(pipeline)) == (2, after)

    answer = undo(send, recovery_id)

    counts = {"tasks_left": 0, "restored": 4 * TYPES, "not_replaced": 0, "left_alone": 0}
    assert answer == {"recovery_id": recovery_id, "complete": True, **counts}
    assert send("GET", f"/{recovery_id}").body["undone"] == counts
    assert contents(pipeline) == before
    revisions = pipeline.rows("SELECT actor, reason FROM content_origins WHERE restored_from IS NOT NULL")
    assert revisions == [{"actor": "operator:op", "reason": f"undo of {recovery_id}"}] * (4 * TYPES)
    assert undo(send, recovery_id) == answer
    assert contents(pipeline) == before
    assert pipeline.status().status == "completed"


def test_a_complete_task_waits_in_a_regeneration(
    pipeline: Pipeline, send: Send, ask: Ask, roadmaps: dict[str, list[str]]
) -> None:
    """Regression: its turn was "nobody, nothing is missing"; a held attempt waited for a slot."""

    def turns(task_id: str) -> set[tuple[str, str | None]]:
        status = ask("GET", f"/tasks/{task_id}", {"user_id": USER}).body
        (row,) = ask("GET", "/tasks", {"q": task_id}, **OPERATOR).body["items"]
        return {(each["turn"]["who"], each["turn"]["recovery_id"]) for each in (status, row)}

    pipeline.execute("UPDATE content_capacity SET stopped_reason = 'a test'")
    recovery_id = regenerate(send, {"model_id": "old"}, concurrency=1)
    assert (turns("t-0"), turns("t-1")) == ({("waiting", None)}, {("waiting", recovery_id)})
    send("POST", f"/{recovery_id}/pause")
    assert turns("t-0") == turns("t-1") == {("person", recovery_id)}


def test_missing_items_wait_in_a_recovery_and_not_in_a_regeneration(pipeline: Pipeline) -> None:
    """Regression: while a failed task waited in a regeneration, which leaves its missing items, no person was
    called."""
    waiting = "VALUES ('t', 'a', NULL, false, true), ('t', 'b', NULL, true, false)"
    columns = "task_id, recovery_id, attempt, is_paused, regenerates"
    (found,) = pipeline.rows(
        recovery_of_task(f"SELECT * FROM ({waiting}) AS v ({columns})", "CAST('t' AS text)")
    )
    assert found["recovery_id"] == "b"


def test_a_roadmap_is_regenerated_by_its_owners_oldest_task_that_this_system_has_run(
    pipeline: Pipeline, send: Send, roadmaps: dict[str, list[str]]
) -> None:
    copy = """
INSERT INTO roadmap_tasks SELECT c.* FROM roadmap_tasks t, json_populate_record(t, CAST(:changes AS json)) c
WHERE t.task_id = 't-0'
"""
    for changes in (
        {"task_id": "t-of-another-user", "user_id": "another"},
        {"task_id": "t-of-the-product", "attempt": 0, "execution_arn": None},
    ):
        pipeline.execute(copy, changes=json.dumps(changes | {"created_at": "2020-01-01"}))
    pipeline.execute("UPDATE roadmap_metadata SET deleted_at = content_now() WHERE roadmap_id = 'r-1'")
    regenerate(send, {"content_type": "quiz"})
    assert pipeline.rows("SELECT task_id FROM content_recovery_tasks") == [{"task_id": "t-0"}]


def test_an_undo_names_the_contents_that_are_no_longer_kept(
    pipeline: Pipeline, send: Send, roadmaps: dict[str, list[str]]
) -> None:
    recovery_id = regenerate(send, {"content_type": "quiz"})
    finish(pipeline, recovery_id)
    expire(pipeline)
    after = contents(pipeline)
    answer = undo(send, recovery_id)
    assert (answer["restored"], answer["not_replaced"], answer["left_alone"]) == (0, 0, 4)
    (row, _) = pipeline.rows(
        "SELECT undone FROM content_recovery_tasks WHERE recovery_id = :r", r=recovery_id
    )
    assert {each["reason"] for each in row["undone"]["left_alone"]} == {
        "ItemNotFound: the former content is no longer kept"
    }
    assert contents(pipeline) == after


CONDITIONS: tuple[tuple[dict[str, str], dict[str, int]], ...] = (
    ({"content_type": "quiz"}, counts(quiz=4)),
    ({"roadmap_id": "r-1"}, counts(2)),
    ({"model_id": "old", "content_type": "tutorial"}, counts(tutorial=4)),
    ({"prompt_version": "p1"}, counts(resources=1)),
    ({"generator": "product", "roadmap_id": "r-0"}, counts(2)),
    ({"generated_before": "2020-01-01T00:00:00Z"}, counts(tutorial=1)),
    ({"generated_after": "2020-01-01T00:00:00Z", "content_type": "tutorial"}, counts(tutorial=3)),
)


def test_a_preview_counts_the_items_that_meet_every_condition(
    pipeline: Pipeline, send: Send, roadmaps: dict[str, list[str]]
) -> None:
    pipeline.execute(
        "UPDATE content_origins SET prompt_version = 'p1'"
        " WHERE content_type = 'resources' AND concept_id = :c",
        c=roadmaps["t-0"][0],
    )
    pipeline.execute(
        "UPDATE tutorial_metadata SET generated_at = '2019-12-31 00:00' WHERE concept_id = :c",
        c=roadmaps["t-0"][0],
    )
    for condition, items in CONDITIONS:
        preview = send("POST", "", {"regenerate": condition, "reason": "r", "dry_run": True})
        assert preview.status == 200, preview.body
        assert preview.body["items"]["to_generate"] == items, condition
        assert preview.body["estimated_tokens"] == 500 * sum(items.values()), condition
    for regenerated in ({}, {"model_id": "never"}, {"model": "old"}):
        for dry_run in (True, False):
            answer = send("POST", "", {"regenerate": regenerated, "reason": "r", "dry_run": dry_run})
            assert answer.status == 422, answer.body
    assert pipeline.rows("SELECT * FROM content_recoveries") == []
    condition, items = CONDITIONS[0]
    recovery_id = regenerate(send, condition)
    frozen = pipeline.rows("SELECT items FROM content_recovery_tasks WHERE recovery_id = :r", r=recovery_id)
    assert {name: sum(len(row["items"].get(name, {})) for row in frozen) for name in items} == items
    named = {"regenerate": condition, "filter": {"task_ids": list(roadmaps)}, "reason": "r", "dry_run": True}
    preview = send("POST", "", named).body
    assert (preview["tasks"], preview["refused"]) == (2, {"ClaimRefused": 1})
    assert (preview["items"]["to_generate"], preview["estimated_tokens"]) == (counts(quiz=2), 1_000)


def test_an_item_that_was_changed_before_its_turn_is_not_replaced(
    pipeline: Pipeline, send: Send, roadmaps: dict[str, list[str]]
) -> None:
    """Also if all items of a task were: no attempt is started for it."""
    recovery_id = regenerate(send, {"model_id": "old"}, concurrency=1, canary=1)
    changed = [roadmaps["t-0"][0], *roadmaps["t-1"]]
    before = contents(pipeline)
    for concept_id in changed:
        for change in PRODUCT_WRITES.values():
            pipeline.execute(change, c=concept_id)
    changed_contents = contents(pipeline)
    finish(pipeline, recovery_id)
    after = contents(pipeline)
    for item, content in after.items():
        if item[1] in changed:
            assert content == changed_contents[item]
        else:
            assert content != before[item]
    tasks = send("GET", f"/{recovery_id}/tasks").body["items"]
    assert [(task["result"], task["reason"]) for task in tasks] == [
        ("recovered", None),
        ("refused", "ChangedSince"),
    ]


def test_an_undo_leaves_items_alone_that_were_changed_since_and_lists_them(
    pipeline: Pipeline, send: Send, roadmaps: dict[str, list[str]]
) -> None:
    before = contents(pipeline)
    recovery_id = regenerate(send, {"model_id": "old"})
    finish(pipeline, recovery_id)
    concept_id = roadmaps["t-1"][0]
    pipeline.execute("UPDATE quiz_metadata SET questions = '[]' WHERE concept_id = :c", c=concept_id)

    answer = undo(send, recovery_id)

    assert (answer["restored"], answer["left_alone"]) == (4 * TYPES - 1, 1)
    item = ("t-1", concept_id, "quiz")
    assert contents(pipeline) == before | {item: {"questions": [], "total_questions": 4}}
    tasks = {task["task_id"]: task for task in send("GET", f"/{recovery_id}/tasks").body["items"]}
    assert tasks["t-0"]["undone"] == {"restored": 2 * TYPES, "not_replaced": 0, "left_alone": []}
    assert tasks["t-1"]["undone"]["left_alone"] == [
        {"concept_id": concept_id, "content_type": "quiz", "reason": "ChangedSince"}
    ]


def test_an_undo_leaves_alone_what_an_attempt_with_its_number_wrote_in_another_life_of_the_task(
    pipeline: Pipeline, send: Send, ask: Ask, roadmaps: dict[str, list[str]]
) -> None:
    """Regression: it replaced what a person had changed, or restored, since."""
    path, query = "/tasks/t-0", {"concept_id": roadmaps["t-0"][0]}

    def revisions() -> Any:
        return ask("GET", f"{path}/items/quiz/revisions", query, **OPERATOR).body["items"]

    def retry() -> None:
        item = query | {"user_id": USER, "content_type": "quiz", "regenerate": "true"}
        assert ask("POST", f"{path}/retry", item).status == 202
        run_started(pipeline)

    earlier = regenerate(send, {"model_id": "old"})
    finish(pipeline, earlier)
    written = revisions()[0]["content_id"]
    pipeline.execute(ANOTHER_LIFE)
    retry()
    retry()
    assert pipeline.rows("SELECT attempt FROM roadmap_tasks ORDER BY task_id")[0] == {"attempt": 2}
    answer = undo(send, earlier)
    assert (answer["restored"], answer["left_alone"]) == (4 * TYPES - 1, 1)

    pipeline.execute(ANOTHER_LIFE)
    retry()
    rename_concepts(pipeline, "r-0")
    later = regenerate(send, {"content_type": "quiz", "roadmap_id": "r-0"})
    finish(pipeline, later)
    assert pipeline.rows("SELECT attempt FROM roadmap_tasks ORDER BY task_id")[0] == {"attempt": 2}
    (exact,) = [each["revision_id"] for each in revisions() if each["content_id"] == written]
    restored = ask("POST", f"{path}/items/quiz/revisions/-/restore", query | {"exact": exact}, **OPERATOR)
    assert restored.body["restored"]
    answer = undo(send, later)
    assert (answer["restored"], answer["left_alone"]) == (1, 1)


def test_an_attempt_of_another_life_of_the_task_is_not_that_of_the_recovery(
    pipeline: Pipeline, send: Send, ask: Ask, roadmaps: dict[str, list[str]]
) -> None:
    """Regression: its tokens and its saved items were those of the recovery's attempt with its number."""
    recovery_id = regenerate(send, {"content_type": "quiz", "roadmap_id": "r-0"})
    pipeline.executions.started.clear()
    pipeline.executions.names.clear()
    pipeline.execute("UPDATE roadmap_tasks SET status = 'completed'")
    pipeline.execute(ANOTHER_LIFE)
    item = {"concept_id": roadmaps["t-0"][0], "content_type": "quiz", "user_id": USER, "regenerate": "true"}
    for _ in range(2):
        assert ask("POST", "/tasks/t-0/retry", item).status == 202
        run_started(pipeline)
    pipeline.execute("UPDATE content_attempts SET tokens = 500 WHERE task_id = 't-0' AND attempt = 2")
    turn(pipeline, recovery_id)
    recovery = send("GET", f"/{recovery_id}").body
    assert (recovery["counts"]["still_failing"], recovery["tokens_used"]) == (1, 0)


def test_two_regenerations_are_undone_in_reverse_order(
    pipeline: Pipeline,
    send: Send,
    operate: Send,
    roadmaps: dict[str, list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Regression: the undo of the earlier one, requested first, left every item alone, for good.

    The second time, the generator writes the resources and quizzes of `t-0` as the first time.
    """
    numbered = OfflineGenerator.generate
    monkeypatch.setattr(
        OfflineGenerator,
        "generate",
        lambda self, request, *_: numbered(self, replace(request, draft_number=1)),
    )
    versions, recoveries = [contents(pipeline)], []
    for model in ("old", "older"):
        pipeline.execute("UPDATE content_origins SET model_id = :model", model=model)
        recoveries.append(regenerate(send, {"model_id": model}))
        finish(pipeline, recoveries[-1])
        versions.append(contents(pipeline))
        rename_concepts(pipeline, "r-1")
    earlier, later = recoveries
    assert (undo(send, earlier)["left_alone"], contents(pipeline)) == (4 * TYPES, versions[2])
    for recovery_id, version in ((later, versions[1]), (earlier, versions[0])):
        assert undo(send, recovery_id)["restored"] == 4 * TYPES
        assert contents(pipeline) == version
        # Also if an undo has found the former content, and recorded a second origin of it.
        assert sum(each["saved"] for each in operate("GET", "/origins").body["items"]) == 4 * TYPES


def test_items_that_a_regeneration_did_not_replace_are_still_failing(
    pipeline: Pipeline, send: Send, roadmaps: dict[str, list[str]]
) -> None:
    """The tasks miss nothing, and stay completed; the canary still stops."""
    before = contents(pipeline)
    recovery_id = regenerate(send, {"model_id": "old"}, canary=1)
    finish(pipeline, recovery_id, fails=True)
    recovery = send("GET", f"/{recovery_id}").body
    assert (recovery["state"], recovery["stop_reason"]) == ("stopped_by_canary", "1 of 1 canary tasks failed")
    first, second = send("GET", f"/{recovery_id}/tasks").body["items"]
    assert (first["result"], second["result"]) == ("still_failing", "refused")
    assert first["reason"].startswith("NotReported: ")
    assert contents(pipeline) == before
    answer = undo(send, recovery_id)
    assert (answer["restored"], answer["not_replaced"], answer["left_alone"]) == (0, 2 * TYPES, 0)
    assert contents(pipeline) == before


def test_what_a_check_refused_is_regenerated_until_it_is_accepted(
    pipeline: Pipeline, send: Send, roadmaps: dict[str, list[str]]
) -> None:
    """The refusals of a lesson that has been replaced since do not count."""
    refused = {"error_code": "Check.WrongKey"}
    first, second = roadmaps["t-0"][0], roadmaps["t-1"][1]
    bad = {first, second}
    checked(pipeline, lambda item: REJECT if item["concept_id"] in bad else ACCEPT, "all")
    finish(pipeline, regenerate(send, {"content_type": "quiz"}))
    bad = {second}
    checked(pipeline, lambda item: REJECT if item["concept_id"] in bad else ACCEPT, "all")

    preview = send("POST", "", {"regenerate": refused, "reason": "r", "dry_run": True}).body
    assert (preview["tasks"], preview["items"]["to_generate"]["quiz"]) == (2, 2)
    before = contents(pipeline)
    finish(pipeline, regenerate(send, refused))
    after = contents(pipeline)
    assert [item for item in after if after[item] != before[item]] == [("t-0", first, "quiz")]

    preview = send("POST", "", {"regenerate": refused, "reason": "r", "dry_run": True}).body
    assert (preview["tasks"], preview["items"]["to_generate"]) == (1, counts(quiz=1))
    for other in ({"error_code": "Check.Other"}, refused | {"content_type": "tutorial"}):
        assert send("POST", "", {"regenerate": other, "reason": "r", "dry_run": True}).status == 422


def test_an_undo_waits_for_the_recovery_and_only_undoes_regenerations(
    pipeline: Pipeline, send: Send, roadmaps: dict[str, list[str]]
) -> None:
    recovery_id = regenerate(send, {"model_id": "old"}, concurrency=1)
    assert send("POST", f"/{recovery_id}/undo").status == 409
    assert send("POST", f"/{recovery_id}/cancel").status == 200
    run_started(pipeline)
    turn(pipeline, recovery_id)
    assert undo(send, recovery_id)["restored"] == 2 * TYPES
    assert send("POST", "/rec-none/undo").status == 404
    other = send("POST", "", {"filter": {"task_ids": ["t-0"]}, "reason": "r"}).body["recovery_id"]
    assert send("POST", f"/{other}/undo").status == 409


def test_a_regeneration_is_undone_after_its_waiting_attempts_were_cancelled(
    pipeline: Pipeline, send: Send, roadmaps: dict[str, list[str]]
) -> None:
    before = contents(pipeline)
    pipeline.execute("UPDATE content_capacity SET stopped_reason = 'no model'")
    recovery_id = regenerate(send, {"model_id": "old"})
    turn(pipeline, recovery_id)
    assert send("POST", f"/{recovery_id}/cancel").body["ended_at"] is not None
    answer = undo(send, recovery_id)
    assert (answer["complete"], answer["not_replaced"], contents(pipeline)) == (True, 4 * TYPES, before)
    assert pipeline.rows("SELECT DISTINCT status FROM roadmap_tasks") == [{"status": "completed"}]


@pytest.mark.slow
def test_an_undo_that_is_interrupted_at_any_commit_restores_each_item_once(
    pipeline: Pipeline,
    send: Send,
    roadmaps: dict[str, list[str]],
    database_url: str,
) -> None:
    before = contents(pipeline)
    recovery_id = regenerate(send, {"model_id": "old"})
    finish(pipeline, recovery_id)
    subject = pipeline.services, recovery_id, "operator:op"
    answer = undo_recovery(*subject, Deadline.after(UNDO_SECONDS - 1))  # no time for an item
    assert (answer.complete, answer.restored) == (False, 0)
    aside = services_for(database_url).engine
    commits = Commits(pipeline.services.engine, aside)
    restores = "SELECT 1 FROM content_origins WHERE restored_from IS NOT NULL"
    for commit in range(10):
        for when in When:
            with commits.struck(Strike(commit, when, How.PROCESS)), pytest.raises(ProcessDied):
                undo_recovery(*subject, Deadline.after(60))
    restored = len(pipeline.rows(restores))
    assert 0 < restored < 4 * TYPES
    # After the list of tasks, the check of each restored item, and two reads of the next one.
    with commits.struck(Strike(1 + restored + 2, When.AFTER, How.CONNECTION)):
        undo(send, recovery_id)
    aside.dispose()
    assert commits.strikes == 21
    assert undo(send, recovery_id)["restored"] == 4 * TYPES
    assert contents(pipeline) == before
    assert len(pipeline.rows(restores)) == 4 * TYPES
