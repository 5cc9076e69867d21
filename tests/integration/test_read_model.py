"""The lists of many tasks: every count adds up, and its filter lists the counted tasks."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from migrations import use_time_zone
from roadmap_content.api.health import MOST_STUCK
from roadmap_content.contracts.api.items import ItemMap
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.storage.bucket import Bucket, StoredEntry
from roadmap_content.platform.storage.keys import rejected_key, staged_key
from roadmap_content.runs.retries.retry import retry_task
from roadmap_content.state.tasks.attempts import user_start
from roadmap_content.state.tasks.unfinished import COUNT_STUCK
from tests.integration.test_concurrency import at_once
from tests.integration.test_many_plans import nodes
from tests.support.factories import TYPES, USER, bundle_of, concept_ids, counts, quiz, tutorial
from tests.support.pipeline import Pipeline, services_for
from tests.support.requests_to_api import Ask, Reply

OTHER = "somebody-else"
Get = Callable[..., Reply]


@pytest.fixture
def get(ask: Ask) -> Get:
    """Sends a GET request, by default as an operator."""

    def send(path: str, query: dict[str, Any] | None = None, *, roles: str = "operator", **who: Any) -> Reply:
        return ask("GET", path, query, roles=roles, **who)

    return send


def run_with_poison(pipeline: Pipeline, number: int, *, user_id: str = USER) -> list[str]:
    """A task with an invalid quiz, after its first run."""
    ids = concept_ids(3, f"r-{number}")
    bundle = bundle_of(ids, roadmap_id=f"r-{number}", task_id=f"t-{number}", user_id=user_id)
    pipeline.task_id = f"t-{number}"
    pipeline.load(bundle)
    pipeline.stage(Item(ids[1], ContentType.QUIZ), json.dumps(quiz(ids[1], note="\x00")).encode())
    pipeline.run()
    return ids


def sums_of_rows(pipeline: Pipeline) -> list[dict[str, Any]]:
    return pipeline.rows("""
        SELECT group_id, count(DISTINCT task_id) AS tasks, CAST(sum(items) AS bigint) AS items, (
            SELECT json_object_agg(content_type, of_type) FROM (
                SELECT content_type, sum(items) AS of_type FROM content_task_failures t
                WHERE t.group_id = f.group_id GROUP BY content_type ORDER BY content_type) AS s) AS by_type
        FROM content_task_failures f GROUP BY group_id ORDER BY group_id
    """)


def kept_sums(pipeline: Pipeline) -> list[dict[str, Any]]:
    return pipeline.rows(
        "SELECT group_id, tasks, items, by_type FROM content_failure_groups WHERE items > 0 ORDER BY group_id"
    )


def test_a_group_shows_its_number_of_tasks_and_links_to_them(pipeline: Pipeline, get: Get) -> None:
    for number in range(3):
        run_with_poison(pipeline, number)
    groups = get("/failures").body["items"]
    assert [(group["tasks"], group["items"], group["error_code"]) for group in groups] == [
        (3, 3, "InvalidContent")
    ]
    group = groups[0]
    assert group["remedy"] == "reject_and_generate"
    assert group["turn"]["who"] == "person"
    assert sum(items for _, items in group["by_hour"]) == 3
    opened = get("/tasks", {"group_id": group["group_id"]}).body
    assert (opened["total"], opened["total_is_exact"]) == (3, True)
    assert {row["task_id"] for row in opened["items"]} == {"t-0", "t-1", "t-2"}
    assert {row["top_reason"]["reason"] for row in opened["items"]} == {group["reason"]}
    assert opened["items"][0]["progress"] == {
        "total": 3 * TYPES,
        "saved": 3 * TYPES - 1,
        "missing": 1,
        "failed": 1,
    }
    assert get("/failures", {"status": "partial_failure"}).body["items"] == groups
    assert get("/failures", {"status": "failed"}).body["items"] == []


def test_a_task_that_a_failure_selects_shows_its_reason(pipeline: Pipeline, get: Get) -> None:
    """Regression: a list of one error code showed each task's most frequent reason."""
    ids = concept_ids(3)
    pipeline.load(bundle_of(ids))
    for concept_id in ids[:2]:
        pipeline.stage(Item(concept_id, ContentType.QUIZ), b"{")
    taken = tutorial(ids[2], tutorial_id="taken")
    pipeline.execute(
        "INSERT INTO tutorial_metadata (tutorial_id, concept_id, roadmap_id, title, summary, content_url,"
        " content_status, content_version, is_latest, estimated_completion_time, generated_at)"
        " SELECT 'taken', 'b', roadmap_id, '', '', '', 'completed', 1, true, 1, now() FROM roadmap_metadata"
    )
    pipeline.stage(Item(ids[2], ContentType.TUTORIAL), json.dumps(taken).encode())
    pipeline.run()
    for query, code in (
        ({}, "InvalidContent"),
        ({"error_code": "IdTaken"}, "IdTaken"),
        ({"content_type": "tutorial"}, "IdTaken"),
    ):
        (task,) = get("/tasks", query).body["items"]
        assert task["top_reason"]["error_code"] == code


def test_a_cause_of_several_types_is_one_group_with_counts_by_type(pipeline: Pipeline, get: Get) -> None:
    """Regression: an outage was a group for each content type, each with its own decision and recovery."""
    ids = concept_ids(4)
    pipeline.load(bundle_of(ids))
    for item in (Item(concept_id, content_type) for concept_id in ids for content_type in ContentType):
        pipeline.stage(item, b"{")
    pipeline.run()
    (group,) = get("/failures").body["items"]
    assert (group["tasks"], group["items"]) == (1, 4 * TYPES)
    assert group["by_type"] == dict.fromkeys(ContentType, 4)
    for also in ({}, {"q": "t-1"}):
        (chosen,) = get("/failures", {"content_type": "quiz"} | also).body["items"]
        assert (chosen["tasks"], chosen["items"], chosen["by_type"]) == (1, 4, {"quiz": 4})
        assert chosen["example"]["content_type"] == "quiz"
    (task,) = get("/tasks", {"group_id": group["group_id"]}).body["items"]
    assert task["top_reason"]["items"] == 4 * TYPES
    (reason,) = get("/tasks/t-1/items").body["reasons"]
    assert (reason["items"], reason["by_type"]) == (4 * TYPES, group["by_type"])
    pipeline.run()  # all are generated again
    assert kept_sums(pipeline) == sums_of_rows(pipeline) == []
    assert pipeline.rows("SELECT items, tasks, by_type FROM content_failure_groups") == [
        {"items": 0, "tasks": 0, "by_type": {}}
    ]


def test_the_sums_follow_every_outcome(pipeline: Pipeline, get: Get) -> None:
    run_with_poison(pipeline, 0)
    run_with_poison(pipeline, 1)
    assert kept_sums(pipeline) == sums_of_rows(pipeline) != []
    pipeline.run()  # repairs t-1: the invalid quiz is rejected and generated again
    assert kept_sums(pipeline) == sums_of_rows(pipeline)
    assert get("/failures").body["items"][0]["tasks"] == 1
    hours = pipeline.rows("SELECT sum(items) AS items FROM content_failure_hours")
    assert hours == [{"items": 1}]


@pytest.mark.slow
def test_the_sums_are_those_of_the_rows_after_concurrent_outcomes(
    pipeline: Pipeline, database_url: str
) -> None:
    """Twelve tasks of the same groups are completed and fail again concurrently; half of them fail last."""
    tasks = 12
    for number in range(tasks):
        run_with_poison(pipeline, number)

    def run(number: int) -> None:
        own = Pipeline(services_for(database_url), f"t-{number}")
        own.roadmap_id = f"r-{number}"
        item = Item(concept_ids(3, f"r-{number}")[1], ContentType.QUIZ)
        for turn in range(3):
            if (number + turn) % 2:
                own.execute("DELETE FROM quiz_metadata WHERE concept_id = :id", id=item.concept_id)
                own.stage(item, b"{" * (turn + 2))  # content that was not refused before
            own.run()
        own.engine.dispose()

    at_once(tasks, run)
    assert sum(row["tasks"] for row in kept_sums(pipeline)) == tasks / 2
    assert kept_sums(pipeline) == sums_of_rows(pipeline)
    by_hour = pipeline.rows(
        "SELECT group_id, sum(items) AS items FROM content_failure_hours GROUP BY group_id"
        " HAVING sum(items) <> 0 ORDER BY group_id"
    )
    assert by_hour == [{"group_id": row["group_id"], "items": row["items"]} for row in kept_sums(pipeline)]


def test_pages_show_each_task_once_while_tasks_change(pipeline: Pipeline, get: Get) -> None:
    for number in range(7):
        pipeline.load(
            bundle_of(concept_ids(1, f"r-{number}"), roadmap_id=f"r-{number}", task_id=f"t-{number}")
            | {"content": []}
        )
        pipeline.execute(
            "UPDATE roadmap_tasks SET created_at = timestamp '2026-01-01' + make_interval(mins => :number)"
            " WHERE task_id = :id",
            number=number // 2,
            id=f"t-{number}",
        )
    seen: list[str] = []
    cursor = None
    while True:
        page = get("/tasks", {"limit": "2"} | ({"cursor": cursor} if cursor else {})).body
        seen += [row["task_id"] for row in page["items"]]
        pipeline.execute("UPDATE roadmap_tasks SET updated_at = updated_at + interval '1 day'")
        if (cursor := page["next_cursor"]) is None:
            break
    assert seen == ["t-6", "t-5", "t-4", "t-3", "t-2", "t-1", "t-0"]


FILTERS: tuple[tuple[dict[str, Any], set[str]], ...] = (
    ({"status": "partial_failure"}, {"t-0", "t-1"}),
    ({"status": ["failed", "partial_failure"]}, {"t-0", "t-1"}),
    ({"status": "completed"}, set()),
    ({"error_code": "InvalidContent"}, {"t-0", "t-1"}),
    ({"error_code": "InvalidContent", "content_type": "tutorial"}, set()),
    ({"content_type": "quiz", "user_id": OTHER}, {"t-1"}),
    ({"q": "t-0"}, {"t-0"}),
    ({"q": "r-1"}, {"t-1"}),
    ({"q": "a ROAD"}, {"t-0", "t-1"}),
    ({"q": "%"}, set()),
    ({"updated_after": "2000-01-01T00:00:00Z"}, {"t-0", "t-1"}),
    ({"updated_before": "2000-01-01T00:00:00Z"}, set()),
)


def test_filters_and_owners_select_tasks(pipeline: Pipeline, get: Get) -> None:
    run_with_poison(pipeline, 0)
    run_with_poison(pipeline, 1, user_id=OTHER)
    for query, found in FILTERS:
        page = get("/tasks", query)
        assert page.status == 200, page
        assert {row["task_id"] for row in page.body["items"]} == found, query
        assert page.body["total"] == len(found), query
    assert [row["task_id"] for row in get("/tasks", roles="owner").body["items"]] == ["t-0"]
    assert get("/failures", roles="owner").body["items"][0]["tasks"] == 1


def test_items_have_their_state_and_reason(pipeline: Pipeline, get: Get) -> None:
    ids = run_with_poison(pipeline, 0)
    answer = get("/tasks/t-0/items")
    assert answer.status == 200, answer
    items = ItemMap.model_validate(answer.body)
    second_quiz = TYPES + list(ContentType).index(ContentType.QUIZ)
    assert items.states == "".join("R" if place == second_quiz else "S" for place in range(3 * TYPES))
    assert items.reason_of == [(second_quiz, 0)]
    assert items.reasons[0].items == 1
    assert items.stages is not None
    assert [concept for stage in items.stages for module in stage.modules for concept in module.concepts] == [
        (concept_id, f"Concept {number}") for number, concept_id in enumerate(ids, 1)
    ]
    second = get("/tasks/t-0/items", {"limit": "1", "states_only": "true"})
    assert (second.body["states"], second.body["stages"]) == ("S" * TYPES, None)
    third = get("/tasks/t-0/items", {"limit": "1", "cursor": second.body["next_cursor"]})
    assert third.body["states"] == items.states[TYPES : 2 * TYPES]
    assert third.body["concepts"] == 3


def test_the_latest_rejected_contents_are_shown_the_latest_first(
    pipeline: Pipeline, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keys are not in the order of the attempts: 100 is before 11."""
    ids, refused_at, attempts = run_with_poison(pipeline, 0), datetime.now(UTC), [*range(11, 31), 100]
    item = Item(ids[1], ContentType.QUIZ)
    listed = [
        StoredEntry(rejected_key("r-0", item, attempt, "0"), 1, refused_at + timedelta(hours=attempt))
        for attempt in sorted(attempts, key=str)
    ]
    monkeypatch.setattr(Bucket, "entries", lambda *_: listed)
    shown = get("/tasks/t-0/items/quiz", {"concept_id": item.concept_id}).body["rejected"]
    assert [content["attempt"] for content in shown] == sorted(attempts, reverse=True)[:20]


def test_one_item_has_the_action_of_the_next_attempt(
    pipeline: Pipeline, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, describe = run_with_poison(pipeline, 0), Bucket.describe

    def describe_outside(bucket: Bucket, key: str) -> StoredEntry | None:
        open_ones = "state = 'idle in transaction' AND datname = current_database()"
        assert pipeline.rows(f"SELECT pid FROM pg_stat_activity WHERE {open_ones}") == []
        return describe(bucket, key)

    with monkeypatch.context() as slow_s3:
        slow_s3.setattr(Bucket, "describe", describe_outside)
        item = get("/tasks/t-0/items/quiz", {"concept_id": ids[1]}).body
    assert (item["state"], item["next_action"]) == ("rejected", "reject_and_generate")
    assert [failure["attempt"] for failure in item["failures"]] == [1]
    assert item["staged"]["size"] > 0
    assert item["rejected"] == []
    refused = item["staged"]["text"]
    assert json.loads(refused)["quiz_id"]
    pipeline.run()
    item = get("/tasks/t-0/items/quiz", {"concept_id": ids[1]}).body
    assert (item["state"], item["next_action"]) == ("saved", "none")
    assert [content["attempt"] for content in item["rejected"]] == [1]
    assert item["rejected"][0]["text"] == refused
    assert item["staged"]["text"] is None, "the content route answers with what is saved"
    assert item["saved"]["id"]
    tutorial = get("/tasks/t-0/items/tutorial", {"concept_id": ids[0]}).body
    assert tutorial["saved"]["version"] == 1
    assert get("/tasks/t-0/items/quiz", {"concept_id": "none"}).status == 404


def test_an_item_has_one_state_in_its_map_and_in_its_detail(pipeline: Pipeline, get: Get) -> None:
    """In an attempt that does not work yet, also of content that the attempt before has refused."""
    ids = run_with_poison(pipeline, 0)
    pipeline.plan()
    pipeline.execute("UPDATE content_capacity SET stopped_reason = 'stop'")

    def states() -> tuple[str, str, str]:
        letter = get("/tasks/t-0/items").body["states"][TYPES + list(ContentType).index(ContentType.QUIZ)]
        item = get("/tasks/t-0/items/quiz", {"concept_id": ids[1]}).body
        return letter, item["state"], item["next_action"]

    assert states() == ("R", "rejected", "reject_and_generate")
    refused = Item(ids[1], ContentType.QUIZ)
    pipeline.bucket.copy(staged_key("r-0", refused), rejected_key("r-0", refused, 1, "0"), {})
    pipeline.bucket.delete(staged_key("r-0", refused))
    assert states() == ("M", "missing", "generate")


def test_staged_and_missing_items_are_distinguished(pipeline: Pipeline, get: Get) -> None:
    ids = concept_ids(30)
    bundle = bundle_of(ids)
    for entry in bundle["content"][10:]:
        del entry["quiz"]
    pipeline.load(bundle)
    without_quiz = "".join("M" if each is ContentType.QUIZ else "T" for each in ContentType)
    assert get("/tasks/t-1/items").body["states"] == "T" * TYPES * 10 + without_quiz * 20


def test_a_retry_can_be_limited_and_can_regenerate(pipeline: Pipeline, ask: Ask, get: Get) -> None:
    run_with_poison(pipeline, 0)
    path, ids = "/tasks/t-0/retry", concept_ids(3, "r-0")
    part = {"concept_id": ids[1], "content_type": "tutorial"}

    def retry(**query: str) -> Reply:
        return ask("POST", path, query)

    assert retry(**part).body["total_items"] == 0
    assert retry(**part, dry_run="true", regenerate="true").body["to_generate"] == counts(tutorial=1)
    assert retry(concept_id="none").status == retry(concept_id="none", dry_run="true").status == 404
    assert retry(content_type="video").status == 422
    assert retry(**part, force_checkpoint="true").status == 422
    assert retry(regenerate="true", force_checkpoint="true").status == 422
    assert retry(take_over="true", force_checkpoint="true").status == 422
    answer = retry(**part, regenerate="true")
    assert (answer.status, answer.body["items_to_retry"]) == (202, counts(tutorial=1))
    newest, first = get("/tasks/t-0/attempts").body["items"]
    assert newest["scope"] == {**part, "regenerate": True, "instruction": None}
    assert first["scope"] is None


def test_attempts_add_up(pipeline: Pipeline, get: Get) -> None:
    run_with_poison(pipeline, 0)
    retry_task(pipeline.services, "t-0", USER, Deadline.after(600), user_start(USER, "please"))
    newest, first = get("/tasks/t-0/attempts").body["items"]
    assert (first["attempt"], first["actor"], first["cause"], first["outcome"]) == (
        1, "console", "first_run", "partial_failure",
    )  # fmt: skip
    items = [first[name] for name in ("planned", "saved", "failed", "not_started", "generated")]
    assert items == [counts(3), counts(3, quiz=2), counts(quiz=1), counts(), counts()]
    assert (newest["actor"], newest["cause"], newest["reason"]) == (f"user:{USER}", "retry", "please")
    assert newest["outcome"] is None
    assert newest["execution_url"].endswith(f"#/v2/executions/details/{newest['execution_arn']}")


def test_health_counts_what_the_list_shows(pipeline: Pipeline, get: Get) -> None:
    run_with_poison(pipeline, 0)
    health = get("/health")
    assert health.status == 200, health
    assert health.body["tasks"] == {"partial_failure": 1}
    assert get("/tasks", {"status": "partial_failure"}).body["total"] == 1
    # The stack is new: there has been no sweep, and none is overdue.
    assert [found["what"] for found in health.body["attention"]] == ["failure_groups"]
    assert health.body["last_sweep"] is None
    pipeline.execute("UPDATE content_attempts SET claimed_at = claimed_at - interval '21 minutes'")
    pipeline.execute("UPDATE roadmap_tasks SET created_at = created_at - interval '21 minutes'")
    assert [found["what"] for found in get("/health").body["attention"]] == [
        "failure_groups",
        "sweep_overdue",
    ]


def test_a_task_contains_the_actions_of_the_caller(pipeline: Pipeline, get: Get) -> None:
    run_with_poison(pipeline, 0)
    as_owner = get("/tasks/t-0", roles="owner").body
    as_viewer = get("/tasks/t-0", roles="owner,viewer", user_id="v").body
    assert as_owner["actions"] == {"retry": True, "cancel": False, "checkpoint": True, "narrow": True}
    assert as_viewer["actions"] == {"retry": False, "cancel": False, "checkpoint": False, "narrow": False}
    assert as_owner["title"] == "A roadmap"
    assert get("/me", roles="owner,operator").body["roles"] == ["operator", "owner"]


def test_a_preview_of_a_retry_distinguishes_staged_and_missing_items(pipeline: Pipeline, ask: Ask) -> None:
    ids = concept_ids(3)
    bundle = bundle_of(ids)
    del bundle["content"][2]["quiz"]
    pipeline.load(bundle)
    answer = ask("POST", "/tasks/t-1/retry", {"dry_run": "true"})
    assert answer.status == 200, answer
    assert answer.body["staged"] == counts(3, quiz=2)
    assert answer.body["to_generate"] == counts(quiz=1)
    assert (answer.body["total_items"], answer.body["estimate_basis"]) == (3 * TYPES, "none")
    assert answer.body["estimated_tokens"] is None
    assert pipeline.task()["attempt"] == 0
    pipeline.execute(
        "INSERT INTO content_attempts (task_id, attempt, actor, cause, step, ended_at, generated, tokens)"
        " VALUES ('t-1', 1, 'auto', 'automatic', 'ended', now(), :generated, 500)",
        generated=json.dumps(counts(tutorial=1, quiz=1)),
    )
    answer = ask("POST", "/tasks/t-1/retry", {"dry_run": "true"})
    assert (answer.body["estimated_tokens"], answer.body["estimate_basis"]) == (250, "task")


def test_a_preview_of_a_retry_counts_content_that_it_rejects_as_to_generate(
    pipeline: Pipeline, ask: Ask
) -> None:
    ids = run_with_poison(pipeline, 0)
    answer = ask("POST", "/tasks/t-0/retry", {"dry_run": "true"})
    assert (answer.body["staged"]["quiz"], answer.body["to_generate"]["quiz"]) == (0, 1), answer
    pipeline.stage(Item(ids[1], ContentType.QUIZ), json.dumps(quiz(ids[1])).encode())  # corrected meanwhile
    answer = ask("POST", "/tasks/t-0/retry", {"dry_run": "true"})
    assert (answer.body["staged"]["quiz"], answer.body["to_generate"]["quiz"]) == (1, 0), answer


def test_the_next_sweep_removes_a_deleted_task_from_the_groups(pipeline: Pipeline, get: Get) -> None:
    for number in range(3):
        run_with_poison(pipeline, number)
    pipeline.execute("DELETE FROM roadmap_tasks WHERE task_id = 't-1'")
    pipeline.sweep()
    assert kept_sums(pipeline) == sums_of_rows(pipeline)
    pipeline.execute(
        "INSERT INTO content_failure_hours (group_id, hour, items)"
        " SELECT group_id, now() - interval '5 hours', 0 FROM content_failure_groups"
    )
    (group,) = get("/failures").body["items"]
    assert (group["tasks"], group["items"]) == (2, 2)
    assert [items for _, items in group["by_hour"]] == [2], "an hour without missing items is left out"


def test_times_are_utc_for_any_zone_of_the_columns(pipeline: Pipeline, get: Get) -> None:
    with pipeline.engine.begin() as connection:
        use_time_zone(connection, "Asia/Shanghai")
    ids = run_with_poison(pipeline, 0)
    answers = [
        get("/tasks").body,
        get("/tasks/t-0").body,
        get("/tasks/t-0/attempts").body,
        get("/failures").body,
        *(get(f"/tasks/t-0/items/{name}", {"concept_id": ids[0]}).body for name in ContentType),
    ]
    times = [moment for answer in answers for moment in times_in(answer)]
    assert len(times) > 10
    now = datetime.now(UTC)
    assert [moment for moment in times if abs(now - moment) > timedelta(hours=2)] == []


def times_in(answer: Any) -> list[datetime]:
    match answer:
        case dict():
            return [moment for value in answer.values() for moment in times_in(value)]
        case list():
            return [moment for value in answer for moment in times_in(value)]
        case str() if len(answer) > 18 and answer[4] == "-" and answer[10] == "T":
            return [datetime.fromisoformat(answer)]
        case _:
            return []


@pytest.mark.parametrize(("stuck", "shown", "more"), [(100, 100, False), (101, 100, True)])
def test_health_counts_a_hundred_stuck_tasks_and_says_if_there_are_more(
    pipeline: Pipeline, get: Get, stuck: int, shown: int, more: bool
) -> None:
    pipeline.execute(
        "INSERT INTO roadmap_tasks (task_id, user_id, status, attempt, updated_at)"
        " SELECT 't-' || n, 'u', 'processing', 1, timezone('utc', now()) - interval '1 hour'"
        f" FROM generate_series(1, {stuck}) AS n"
    )
    health = get("/health").body
    assert (health["stuck_tasks"], health["more_stuck_tasks"]) == (shown, more)
    (text,) = (each["text"] for each in health["attention"] if each["what"] == "stuck_tasks")
    assert ("more than 100" in text) == more


def test_a_task_with_a_recent_event_is_not_stuck(pipeline: Pipeline, get: Get) -> None:
    run_with_poison(pipeline, 0)
    pipeline.execute(
        "UPDATE roadmap_tasks SET status = 'processing', updated_at = updated_at - interval '1 hour'"
    )
    assert get("/health").body["stuck_tasks"] == 0
    pipeline.execute("UPDATE content_events SET recorded_at = recorded_at - interval '1 hour'")
    assert get("/health").body["stuck_tasks"] == 1
    pipeline.execute("DELETE FROM content_events")
    assert get("/health").body["stuck_tasks"] == 1


def test_health_looks_up_no_event_of_a_task_that_changed_recently(pipeline: Pipeline) -> None:
    pipeline.execute(
        "INSERT INTO roadmap_tasks (task_id, user_id, status, attempt, updated_at)"
        " SELECT 't-' || n, 'u', 'processing', 1, timezone('utc', now()) FROM generate_series(1, 1000) AS n"
    )
    pipeline.execute("ANALYZE roadmap_tasks")
    (row,) = pipeline.rows(
        f"EXPLAIN (ANALYZE, FORMAT JSON) {COUNT_STUCK.text}", seconds=1_800, limit=MOST_STUCK + 1
    )
    look_ups = [
        node["Actual Loops"]
        for node in nodes(row["QUERY PLAN"][0]["Plan"])
        if node.get("Relation Name") == "content_events"
    ]
    assert look_ups == [0]


def test_totals_above_a_thousand_are_marked_as_estimates(pipeline: Pipeline, get: Get) -> None:
    pipeline.execute(
        "INSERT INTO roadmap_tasks (task_id, user_id, status)"
        " SELECT 't-' || n, 'u', CASE WHEN n <= 1500 THEN 'completed' ELSE 'failed' END"
        " FROM generate_series(1, 1520) AS n"
    )
    pipeline.execute("ANALYZE roadmap_tasks")
    page = get("/tasks", {"limit": "1"}).body
    assert not page["total_is_exact"]
    assert 1_400 < page["total"] < 1_650
    failed = get("/tasks", {"status": "failed", "limit": "1"}).body
    assert (failed["total"], failed["total_is_exact"]) == (20, True)
    health = get("/health").body
    assert health["tasks_estimated"] == ["completed"]
    assert 1_400 < health["tasks"]["completed"] < 1_600
    assert health["tasks"]["failed"] == 20


@pytest.mark.parametrize("query", [{}, {"q": "t-", "status": "pending"}, {"error_code": "E"}])
def test_a_list_ends_in_a_zone_with_daylight_saving(
    pipeline: Pipeline, get: Get, query: dict[str, str]
) -> None:
    """A time in the hour that is skipped has no instant of its own, and one in the repeated hour has two."""
    with pipeline.engine.begin() as connection:
        use_time_zone(connection, "Europe/Berlin")
    pipeline.execute(
        "INSERT INTO roadmap_tasks (task_id, user_id, status, created_at)"
        " SELECT 't-' || n, 'u', 'pending', first + n * interval '4 minutes'"
        " FROM generate_series(0, 44) AS n,"
        " (VALUES (timestamp '2026-03-29 01:30'), (timestamp '2026-10-25 01:30')) AS hours(first)"
        " WHERE mod(n, 2) = CAST(first > '2026-06-01' AS int)"
    )
    pipeline.execute(
        "INSERT INTO content_task_failures (task_id, attempt, group_id, error_code, stage, content_type,"
        " reason, items, transient, example_concept_id, example_reason, user_id, first_seen, last_seen,"
        " created_at) SELECT task_id, 1, 'g', 'E', 'save', 'quiz', 'r', 1, false, 'c', 'r', user_id, now(),"
        " now(), created_at"
        " FROM roadmap_tasks"
    )
    listed: list[str] = []
    cursor: dict[str, str] = {}
    for _ in range(45):
        page = get("/tasks", {"limit": "4"} | query | cursor).body
        listed += [task["task_id"] for task in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert sorted(listed) == sorted(f"t-{number}" for number in range(45))
