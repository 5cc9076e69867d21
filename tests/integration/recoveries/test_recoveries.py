"""Every task of a recovery gets a result, under every fault."""

import importlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from unittest.mock import Mock

import pytest
from sqlalchemy import TextClause, text

from roadmap_content.capabilities.recoveries.advance import advance, cancel, pause, resume
from roadmap_content.capabilities.recoveries.create import MAX_TASKS
from roadmap_content.capabilities.recoveries.create import create as create_recovery
from roadmap_content.capabilities.recoveries.decisions import Limits, Settlement
from roadmap_content.capabilities.recoveries.errors import RecoveryStoppedError
from roadmap_content.capabilities.recoveries.recovery import insert_recovery, unfinished_recoveries
from roadmap_content.capabilities.recoveries.recovery_tasks import (
    CLAIM,
    LAST_ENDED,
    PROGRESS,
    WAITING,
    WaitingTask,
    claim_task,
    end_task,
    read_progress,
    record_settlements,
)
from roadmap_content.capabilities.recoveries.request import RecoveryFilter, RecoveryRequest
from roadmap_content.contracts.errors import DatabaseUnavailableError
from roadmap_content.contracts.events import DetailType
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.contracts.payloads import RunInput
from roadmap_content.contracts.states import TaskResult
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.runs.steps.finalize import record_run_end
from roadmap_content.state.outbox import deliver_events
from roadmap_content.state.tasks.attempt_reading import read_attempts
from tests.integration.conftest import Send
from tests.integration.test_capacity import read_state
from tests.integration.test_metrics import counted
from tests.integration.test_queue import blocks
from tests.support.commits import Commits, How, ProcessDied, Strike, When
from tests.support.factories import USER, bundle_of, concept_ids, counts, quiz
from tests.support.machine_model import Run
from tests.support.pipeline import SETTINGS, Pipeline, log_of, services_for
from tests.support.prepared import DENY_CLAIMS, prepare
from tests.support.received_events import Received
from tests.support.requests_to_api import OPERATOR, Ask

QUIZ, RESOURCES = ContentType.QUIZ, ContentType.RESOURCES


@pytest.fixture
def create(send: Send) -> Callable[..., str]:
    """Creates a recovery of all failed tasks; returns its id."""

    def post(**limits: Any) -> str:
        body = {"filter": {"status": ["failed", "partial_failure"]}, "reason": "after the outage"}
        body |= {"canary": 0, "breaker": 0} | limits
        answer = send("POST", "", body)
        assert answer.status == 201, answer
        recovery_id: str = answer.body["recovery_id"]
        return recovery_id

    return post


def fail(pipeline: Pipeline, count: int, *, staged: bool = True) -> list[str]:
    """Tasks with a first run that saved nothing."""
    prepare(pipeline, save_nothing, count, staged)
    return [f"t-{number}" for number in range(count)]


def save_nothing(pipeline: Pipeline, count: int, staged: bool) -> None:
    for number in range(count):
        ids = concept_ids(2, f"r-{number}")
        pipeline.task_id = f"t-{number}"
        bundle = bundle_of(ids, roadmap_id=f"r-{number}", task_id=pipeline.task_id)
        pipeline.load(bundle if staged else bundle | {"content": []})
        pipeline.finalize(pipeline.plan())


@pytest.fixture
def create_waiting(pipeline: Pipeline) -> Callable[..., str]:
    """Creates a recovery of all failed tasks that has not started one, as if the request had no time left."""

    def insert(**limits: Any) -> str:
        given = {"rate_per_minute": 6_000, "concurrency": 10, "canary": 0, "breaker": 0} | limits
        failed = RecoveryFilter(status=["failed", "partial_failure"])
        request = RecoveryRequest(filter=failed, reason="r", **given)
        return create_recovery(pipeline.services, request, "operator:op", Deadline.after(5))

    return insert


def turn(pipeline: Pipeline, recovery_id: str) -> None:
    """Advance a recovery, five seconds later."""
    pass_time(pipeline, recovery_id)
    advance(pipeline.services, recovery_id, Deadline.after(600))


def pass_time(pipeline: Pipeline, recovery_id: str) -> None:
    """Simulate for the rate that five seconds have passed."""
    pipeline.execute(
        "UPDATE content_recoveries SET next_start_at = next_start_at - interval '5 seconds'"
        " WHERE recovery_id = :id",
        id=recovery_id,
    )


def run_started(pipeline: Pipeline, *, fails: bool = False) -> None:
    """Run the started attempts, one after another."""
    executions = pipeline.executions
    # Two starts with one name are one execution.
    by_arn = dict(zip(executions.names, executions.started, strict=True))
    for arn, (task_id, attempt) in by_arn.items():
        run = Run(arn, RunInput(task_id=task_id, attempt=attempt))
        run.step(pipeline.services, Deadline.after(600))
        for request in [] if fails else run.requests:
            pipeline.generate(request)
            pipeline.save(request)
        record_run_end(run.finalize_request(), pipeline.services, Deadline.after(600))
    executions.started.clear()
    executions.names.clear()


def finish(pipeline: Pipeline, recovery_id: str, rounds: int = 30, **run: Any) -> None:
    """Advance the recovery and run its tasks until it has ended."""
    for _ in range(rounds):
        turn(pipeline, recovery_id)
        (row,) = pipeline.rows(
            "SELECT ended_at FROM content_recoveries WHERE recovery_id = :id", id=recovery_id
        )
        if row["ended_at"] is not None:
            return
        run_started(pipeline, **run)
    raise AssertionError("the recovery does not end")


def results(send: Send, recovery_id: str) -> dict[str, str]:
    page = send("GET", f"/{recovery_id}/tasks", query={"limit": "200"})
    return {row["task_id"]: row["result"] for row in page.body["items"]}


def test_a_recovery_retries_the_selected_tasks_and_counts_them(
    pipeline: Pipeline, send: Send, create: Callable[..., str]
) -> None:
    tasks = fail(pipeline, 3)
    recovery_id = create(concurrency=2, rate_per_minute=6_000)
    finish(pipeline, recovery_id)
    recovery = send("GET", f"/{recovery_id}").body
    assert (recovery["state"], recovery["ended_at"] is not None) == ("completed", True)
    assert recovery["counts"] == {
        "total": 3, "waiting": 0, "running": 0, "recovered": 3, "still_failing": 0, "refused": 0,
    }  # fmt: skip
    assert results(send, recovery_id) == dict.fromkeys(tasks, "recovered")
    listed = send("GET", f"/{recovery_id}/tasks").body["items"]
    titles = {row["task_id"]: row["title"] for row in pipeline.rows(
        "SELECT task_id, title FROM roadmap_tasks JOIN roadmap_metadata USING (roadmap_id)")}  # fmt: skip
    assert {row["task_id"]: row["title"] for row in listed} == titles
    assert {
        row["actor"] for row in pipeline.rows("SELECT actor FROM content_attempts WHERE attempt = 2")
    } == {f"recovery:{recovery_id}"}
    with pipeline.engine.connect() as connection:
        assert read_attempts(connection, tasks[0], 9, 9)[0].reason == recovery["reason"] != recovery_id
    (row,) = send("GET", "").body["items"]
    assert (row["recovery_id"], row["progress"]) == (recovery_id, None)


def test_a_recovery_shows_when_its_tasks_ended_and_estimates_the_rest(
    pipeline: Pipeline, send: Send, create: Callable[..., str]
) -> None:
    fail(pipeline, 8)
    recovery_id = create(concurrency=3, rate_per_minute=6_000)

    def progress() -> Any:
        return send("GET", f"/{recovery_id}").body["progress"]

    assert progress() == {"ended": [], "least_seconds": None, "most_seconds": None}
    turn(pipeline, recovery_id)
    run_started(pipeline)
    turn(pipeline, recovery_id)
    assert len(progress()["ended"]) == 3
    assert progress()["most_seconds"] is None  # three have ended
    run_started(pipeline)
    turn(pipeline, recovery_id)
    pipeline.execute(
        "UPDATE content_recoveries SET started_at = now() - interval '120 seconds', resumed_at = NULL"
    )
    pipeline.execute(
        "UPDATE content_recovery_tasks SET ended_at = now() - position * interval '20 seconds'"
        " WHERE ended_at IS NOT NULL"
    )
    shown = progress()
    assert [count for _, count in shown["ended"]] == [1, 2, 3, 4, 5, 6]
    assert shown["least_seconds"] == pytest.approx(40, abs=10)  # two are left, at 20 s each
    assert 40 <= shown["most_seconds"] <= 60
    # Ends before the recovery was resumed have the speed of another time.
    pipeline.execute("UPDATE content_recoveries SET resumed_at = now()")
    assert (progress()["most_seconds"], progress()["ended"]) == (None, shown["ended"])
    # However many have ended, the answer has as many points, with the first end and the last.
    pipeline.execute(
        "INSERT INTO content_recovery_tasks (recovery_id, position, task_id, canary, result, ended_at)"
        " SELECT recovery_id, 100 + n, 'many-' || n, false, 'recovered', now() + n * interval '1 second'"
        " FROM content_recoveries, generate_series(1, 1000) AS n"
    )
    points = progress()["ended"]
    assert (len(points) <= 60, points[0][1], points[-1][1]) == (True, 1, 1006)
    pipeline.execute("DELETE FROM content_recovery_tasks WHERE position > 100")
    send("POST", f"/{recovery_id}/pause")
    assert (progress()["most_seconds"], len(progress()["ended"])) == (None, 6)


def test_a_recovery_that_is_paused_before_its_first_step_starts_when_it_is_resumed(
    pipeline: Pipeline, send: Send, create_waiting: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    """Its rate does not count the pause. A repeated request is not logged as a change."""
    fail(pipeline, 1)
    for then, event in (("cancel", "cancelled"), ("resume", "resumed")):
        recovery_id = create_waiting()
        for _ in range(2):
            paused = send("POST", f"/{recovery_id}/pause").body
        assert (paused["state"], paused["started_at"], paused["rate_actual"]) == ("paused", None, None)
        for _ in range(2):
            changed = send("POST", f"/{recovery_id}/{then}").body
        assert (changed["started_at"] is not None) == (then == "resume"), changed
        assert [log_of(caplog).count(f'"recovery_{name}"') for name in ("paused", event)] == [1, 1]
        caplog.clear()


@pytest.mark.parametrize(
    ("cause", "all_missing"),
    [("error_code", False), ("error_code", True), ("group_id", False), ("content_type", True)],
)
def test_a_recovery_of_a_cause_retries_its_items_and_its_preview_says_what_else_is_missing(
    pipeline: Pipeline, send: Send, ask: Ask, cause: str, all_missing: bool
) -> None:
    """Regression: an item with a taken id costs no tokens, but an invalid item of the same task was
    generated again.
    """
    saved, taken, invalid = concept_ids(3)
    pipeline.load(bundle_of([saved, taken, invalid]))
    pipeline.stage(Item(taken, QUIZ), json.dumps(quiz(taken, quiz_id=quiz(saved)["quiz_id"])).encode())
    other = Item(invalid, RESOURCES if cause == "content_type" else QUIZ)
    pipeline.stage(other, b"{}")
    pipeline.run()
    groups = {group["error_code"]: group for group in ask("GET", "/failures", **OPERATOR).body["items"]}
    chosen = {**groups["IdTaken"], "content_type": "quiz"}[cause]
    body = {"filter": {cause: chosen, "all_missing": all_missing}, "reason": "r"}

    preview = send("POST", "", body | {"dry_run": True}).body
    numbers = [sum(preview["items"][name].values()) for name in ("staged", "to_generate")]
    assert (numbers, preview["other_items"]) == ([1, int(all_missing)], 1)

    recovery_id = send("POST", "", body).body["recovery_id"]
    finish(pipeline, recovery_id)
    assert results(send, recovery_id) == {"t-1": "recovered"}
    left = [Item(item.concept_id, item.content_type) for item in pipeline.status().failed_items]
    assert left == [] if all_missing else [other]
    (attempt,) = pipeline.rows("SELECT planned, generated FROM content_attempts WHERE attempt = 2")
    assert sum(attempt["planned"].values()) == 1 + all_missing
    assert sum(attempt["generated"].values()) == int(all_missing)


def test_the_breaker_of_a_recovery_of_a_cause_does_not_look_at_what_it_does_not_retry(
    pipeline: Pipeline, send: Send
) -> None:
    """Otherwise all tasks that fail would have the invalid quiz in common, for any reason."""
    saved, taken, invalid = concept_ids(3)
    pipeline.load(bundle_of([saved, taken, invalid]))
    pipeline.stage(Item(taken, QUIZ), json.dumps(quiz(taken, quiz_id=quiz(saved)["quiz_id"])).encode())
    pipeline.stage(Item(invalid, QUIZ), b"{}")
    pipeline.run()
    body = {"filter": {"error_code": "IdTaken"}, "reason": "r", "canary": 0}
    recovery_id = send("POST", "", body).body["recovery_id"]
    finish(pipeline, recovery_id, fails=True)
    with pipeline.engine.connect() as connection:
        (groups,) = read_progress(connection, recovery_id, breaker=4).last_failed
    assert [text.partition(":")[0] for text in groups.values()] == ["NotReported"]
    (task,) = send("GET", f"/{recovery_id}/tasks").body["items"]
    assert task["reason"].startswith("NotReported: ")


def test_no_more_than_the_concurrency_and_the_rate_allow(
    pipeline: Pipeline, create: Callable[..., str], create_waiting: Callable[..., str]
) -> None:
    fail(pipeline, 6)
    slow = create(concurrency=6, rate_per_minute=24)
    assert len(pipeline.executions.started) == 1
    turn(pipeline, slow)  # five seconds later
    assert len(pipeline.executions.started) == 3
    quick = create_waiting(concurrency=2)
    for _ in range(3):
        turn(pipeline, quick)
    running = "SELECT count(*) AS running FROM content_recovery_tasks WHERE result = 'running'"
    assert pipeline.rows(f"{running} AND recovery_id = :id", id=quick)[0]["running"] <= 2


def test_the_breaker_pauses_again_if_the_tasks_since_the_resume_fail(
    pipeline: Pipeline,
    send: Send,
    create: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "RoadmapContent")
    fail(pipeline, 5)
    recovery_id = create(breaker=2, concurrency=1, rate_per_minute=6_000)
    states = []
    for _ in range(2):
        for _ in range(3):
            run_started(pipeline, fails=True)
            turn(pipeline, recovery_id)
        states.append(send("GET", f"/{recovery_id}").body)
        health = read_state(pipeline)
        assert (health.recoveries_paused, health.recoveries_running) == (1, 0)
        assert health.attention[0].what == "recoveries_paused"
        resumed = send("POST", f"/{recovery_id}/resume").body
        assert (resumed["state"], resumed["stop_reason"]) == ("running", None)
    send("POST", f"/{recovery_id}/pause")
    health = read_state(pipeline)
    assert (health.recoveries_paused, health.recoveries_running) == (0, 0), "a person knows"
    assert [state["state"] for state in states] == ["paused_by_breaker"] * 2
    assert [state["counts"]["still_failing"] for state in states] == [2, 4]
    assert counted(capsys)["RecoveriesStopped", None] == 2


def test_a_claim_of_another_task_than_the_canary_is_refused(
    pipeline: Pipeline, create_waiting: Callable[..., str]
) -> None:
    """It was chosen before the recovery became a canary again."""
    fail(pipeline, 2)
    recovery_id = create_waiting(canary=1)
    pipeline.execute("UPDATE content_recoveries SET state = 'canary'")
    (other,) = pipeline.rows("SELECT task_id FROM content_recovery_tasks WHERE NOT canary")
    with pipeline.services.engine.begin() as connection, pytest.raises(RecoveryStoppedError):
        claim_task(connection, recovery_id, WaitingTask(other["task_id"], "failed", 1, None), 2)


def test_a_lost_right_of_the_database_refuses_no_task(
    pipeline: Pipeline, send: Send, create_waiting: Callable[..., str]
) -> None:
    """Regression: every task of the recovery was refused at once, whatever its rate, and it had ended."""
    tasks = fail(pipeline, 3)
    recovery_id = create_waiting()
    pipeline.execute(DENY_CLAIMS)
    turn(pipeline, recovery_id)
    assert results(send, recovery_id) == dict.fromkeys(tasks, "waiting")
    pipeline.execute("DROP TRIGGER denied ON roadmap_tasks")
    for _ in tasks:
        turn(pipeline, recovery_id)
    assert results(send, recovery_id) == dict.fromkeys(tasks, "running")


def test_a_result_is_recorded_once_and_a_task_that_runs_is_not_refused(
    pipeline: Pipeline, send: Send, create: Callable[..., str]
) -> None:
    """A request and a sweep advance the same recovery at the same time."""
    first, second = fail(pipeline, 2)
    recovery_id = create(concurrency=2, rate_per_minute=6_000)
    turn(pipeline, recovery_id)
    assert results(send, recovery_id) == {first: "running", second: "running"}
    with pipeline.services.engine.begin() as connection:
        for result in (TaskResult.RECOVERED, TaskResult.STILL_FAILING):
            record_settlements(connection, recovery_id, [Settlement(first, result, None, 70)])
        task = WaitingTask(second, "failed", 1, None)
        end_task(connection, recovery_id, task, TaskResult.REFUSED, "ClaimRefused")
    assert results(send, recovery_id) == {first: "recovered", second: "running"}
    assert send("GET", f"/{recovery_id}").body["tokens_used"] == 70


def test_the_breaker_does_not_count_the_canary(pipeline: Pipeline) -> None:
    """Ten tasks have ended, the first five of them as the canary."""
    limits = Limits(60, concurrency=20, token_budget=None, canary=5, breaker=10)
    with pipeline.engine.begin() as connection:
        insert_recovery(connection, "r", {}, limits, "op", "r")
        connection.execute(TASKS_OF_A_RECOVERY, {"recovery_id": "r", "tasks": 20})
        assert read_progress(connection, "r", breaker=10).last_ended == 5
        connection.execute(
            text("UPDATE content_recovery_tasks SET result = 'still_failing' WHERE position = 6")
        )
        assert len(read_progress(connection, "r", breaker=1).last_failed) == 1, "the one that ended last"


def test_a_step_that_is_rolled_back_writes_no_metrics(
    pipeline: Pipeline,
    create: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "RoadmapContent")
    fail(pipeline, 1)
    recovery_id = create()
    run_started(pipeline)
    commits = Commits(pipeline.services.engine, pipeline.engine)
    with commits.struck(Strike(0, When.BEFORE, How.CONNECTION)):
        turn(pipeline, recovery_id)
    metrics = counted(capsys)
    assert (commits.strikes, metrics["TransactionsRetried", None]) == (1, 1)
    assert metrics["RecoveryTasksRecovered", None] == 1


@pytest.mark.parametrize("state", ["completed", "cancelled"])
def test_the_end_of_a_recovery_is_an_event(
    pipeline: Pipeline, send: Send, create_waiting: Callable[..., str], state: str
) -> None:
    pipeline.services.settings = Settings(SETTINGS | {"EVENT_BUS": "bus"})
    received = Received()
    pipeline.services.event_bus = received
    fail(pipeline, 2)
    recovery_id = create_waiting(concurrency=2)
    if state == "cancelled":
        send("POST", f"/{recovery_id}/cancel")
    else:
        finish(pipeline, recovery_id)
    assert received.of(DetailType.RECOVERY_ENDED) == []
    deliver_events(pipeline.services, Deadline.after(600))
    (ended,) = received.of(DetailType.RECOVERY_ENDED)
    result = "refused" if state == "cancelled" else "recovered"
    assert (ended["data"]["recovery_id"], ended["data"]["state"]) == (recovery_id, state)
    assert (ended["data"]["counts"]["total"], ended["data"]["counts"][result]) == (2, 2)


@pytest.mark.parametrize("then", ["resume", "cancel", "cancel by a process that dies"])
def test_a_pause_holds_the_waiting_attempts_until_a_resume_or_a_cancel(
    pipeline: Pipeline, send: Send, create: Callable[..., str], then: str
) -> None:
    """Regression: six waited, and all six started after a pause or a cancellation, and were paid for."""
    fail(pipeline, 2, staged=False)
    recorded = "SELECT task_id, status, failed_concepts FROM roadmap_tasks ORDER BY task_id"
    groups = "SELECT group_id, items FROM content_task_failures ORDER BY task_id, group_id"
    events = "SELECT count(*) FROM content_events WHERE detail_type = 'Automatic Attempts Exhausted'"
    before = [pipeline.rows(sql) for sql in (recorded, groups, events)]
    pipeline.execute("UPDATE content_capacity SET stopped_reason = 'no model'")
    recovery_id = create(concurrency=2, rate_per_minute=6_000)
    turn(pipeline, recovery_id)
    assert send("GET", f"/{recovery_id}").body["counts"]["running"] == 2
    send("POST", f"/{recovery_id}/pause")
    pipeline.execute("UPDATE content_capacity SET stopped_reason = NULL")
    pipeline.sweep()
    assert pipeline.executions.started == []
    pipeline.execute("INSERT INTO content_queue_keys VALUES ('bulk', 'user:another', 1000000, false)")
    if then == "cancel by a process that dies":
        commits = Commits(pipeline.services.engine, pipeline.engine)
        with commits.struck(Strike(0, When.AFTER, How.PROCESS)), pytest.raises(ProcessDied):
            cancel(pipeline.services, recovery_id, Deadline.after(600))
        pipeline.sweep()
        then = "cancel"
    answer = send("POST", f"/{recovery_id}/{then}").body
    if then == "resume":
        assert len(pipeline.executions.started) == 2
        (counter,) = pipeline.rows(
            "SELECT virtual_time FROM content_queue_keys WHERE class = 'bulk' AND queue_key <> 'user:another'"
        )
        assert counter["virtual_time"] > 1_000_000, "who waited aside has saved no credit"
        finish(pipeline, recovery_id)
        assert set(results(send, recovery_id).values()) == {"recovered"}
        return
    pipeline.sweep()
    assert (answer["state"], answer["counts"]["refused"], pipeline.executions.started) == ("cancelled", 2, [])
    assert answer["ended_at"] is not None
    assert [pipeline.rows(sql) for sql in (recorded, groups, events)] == before
    for task_id in ("t-0", "t-1"):
        with pipeline.engine.connect() as connection:
            withdrawn, _ = read_attempts(connection, task_id, 3, 2)
        # Regression: the failures of the attempt before it, which still apply, were counted as its own.
        counted = withdrawn.outcome, withdrawn.planned["quiz"], withdrawn.temporary
        assert counted == ("cancelled", 0, {})
    pipeline.task_id, pipeline.roadmap_id = "t-0", "r-0"
    assert pipeline.run().complete


def test_a_task_in_a_recovery_has_one_turn_in_every_answer(
    pipeline: Pipeline, send: Send, create: Callable[..., str], ask: Ask
) -> None:
    """Regression: "Needs a person. Retry it." for a task that a running recovery would start a minute later,
    and "waits for a slot" for an attempt that its paused recovery held.
    """
    fail(pipeline, 3, staged=False)
    pipeline.execute("UPDATE content_capacity SET stopped_reason = 'no model'")
    recovery_id = create(concurrency=1)
    pipeline.execute("UPDATE content_capacity SET stopped_reason = NULL")

    def turns() -> Any:
        listed = ask("GET", "/tasks", {"user_id": USER}).body["items"]
        found = {row["task_id"]: row["turn"] for row in listed}
        for task_id, turn in found.items():
            of_task = ask("GET", f"/tasks/{task_id}", {"user_id": USER}).body["turn"]
            assert of_task | {"at": None} == turn  # the list has no sign of a run
        assert {turn["recovery_id"] for turn in found.values()} <= {recovery_id, None}
        (group,) = ask("GET", "/failures", **OPERATOR).body["items"]
        (chosen,) = ask("GET", "/failures", {"q": "t-2"}, **OPERATOR).body["items"]
        health = ask("GET", "/health", **OPERATOR).body
        calls = "failure_groups" in [found["what"] for found in health["attention"]]
        assert health["failure_groups_ringing"] == calls == (group["turn"]["who"] == "person")
        return (
            [found[task_id]["why"] for task_id in ("t-0", "t-2")],
            group["turn"]["why"],
            chosen["turn"]["why"],
        )

    waits, slot = "It waits in a recovery.", "Its attempt waits for a slot."
    assert turns() == ([slot, waits], slot, waits)
    send("POST", f"/{recovery_id}/pause")
    paused = "Resume or cancel its recovery."
    assert turns() == ([paused] * 2, paused, paused)
    send("POST", f"/{recovery_id}/resume")
    assert pipeline.executions.started
    assert turns() == (["An attempt is at work.", waits], "An attempt is at work.", waits)
    send("POST", f"/{recovery_id}/cancel")
    run_started(pipeline, fails=True)
    person = "Start a recovery, or ignore it."
    assert turns() == (["Retry it."] * 2, person, person)


@pytest.mark.parametrize("waits", [True, False])
def test_the_end_of_a_retry_calls_nobody_while_a_recovery_starts_the_next(
    pipeline: Pipeline,
    create_waiting: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    waits: bool,
) -> None:
    """In its event and in the metric of the alarm."""
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "RoadmapContent")
    fail(pipeline, 1, staged=False)
    if waits:
        create_waiting()
    pipeline.retry(task_id="t-0")
    capsys.readouterr()
    run_started(pipeline, fails=True)
    finalized = "SELECT detail FROM content_events WHERE detail_type = 'Task Finalized' ORDER BY position"
    turn = pipeline.rows(finalized)[-1]["detail"]["data"]["turn"]
    assert turn["who"] == ("waiting" if waits else "person")
    assert counted(capsys)["TasksNeedPerson", None] == (not waits)


def test_the_breaker_holds_the_waiting_attempts(
    pipeline: Pipeline, send: Send, create: Callable[..., str]
) -> None:
    fail(pipeline, 5, staged=False)
    recovery_id = create(concurrency=4, rate_per_minute=24, breaker=2)
    turn(pipeline, recovery_id)  # five seconds later
    pipeline.execute("UPDATE content_capacity SET stopped_reason = 'no model'")
    turn(pipeline, recovery_id)
    run_started(pipeline, fails=True)
    turn(pipeline, recovery_id)
    pipeline.execute("UPDATE content_capacity SET stopped_reason = NULL")
    pipeline.sweep()
    recovery = send("GET", f"/{recovery_id}").body
    assert (recovery["state"], recovery["counts"]["running"]) == ("paused_by_breaker", 1)
    assert pipeline.executions.started == []


@pytest.mark.slow
def test_the_cost_of_a_claim_does_not_depend_on_the_number_of_tasks(pipeline: Pipeline) -> None:
    """Regression: each claim counted all tasks of its recovery, under its lock."""
    costs = []
    for tasks in (2_000, 200_000):
        limits = Limits(60, concurrency=20, token_budget=10**9, canary=5, breaker=10)
        with pipeline.engine.begin() as connection:
            assert insert_recovery(connection, f"r-{tasks}", {}, limits, "op", "r")
            connection.execute(TASKS_OF_A_RECOVERY, {"recovery_id": f"r-{tasks}", "tasks": tasks})
            connection.execute(text("ANALYZE content_recovery_tasks"))
        asked = {"recovery_id": f"r-{tasks}"}
        statements: dict[TextClause, dict[str, Any]] = {
            PROGRESS: {},
            LAST_ENDED: {"breaker": 10},
            WAITING: {"canary": False, "limit": 20},
            CLAIM: {"task_id": f"t-{tasks - 9}", "attempt": 2, "canary": False},
        }
        with pipeline.engine.begin() as connection:
            for _ in range(2):  # the first time also reads the catalogs
                cost = sum(blocks(connection, sql, **asked, **more) for sql, more in statements.items())
        costs.append(cost)
    few, many = costs
    assert many <= 1.5 * few


@pytest.mark.parametrize("change", [pause, cancel], ids=["pause", "cancel"])
@pytest.mark.parametrize(("commit", "claimed"), [(0, 0), (1, 0), (2, 1)])
def test_the_next_claim_obeys_a_change_of_the_recovery(
    pipeline: Pipeline,
    send: Send,
    create_waiting: Callable[..., str],
    database_url: str,
    commit: int,
    claimed: int,
    change: Callable[..., None],
) -> None:
    """After the tasks are chosen, after the first is read, and after it is claimed.

    Regression: a pause was answered, and ten more tasks were claimed.
    """
    tasks = fail(pipeline, 2)
    recovery_id = create_waiting()
    operator = services_for(database_url)
    operator.executions = pipeline.services.executions
    commits = Commits(pipeline.services.engine, operator.engine)
    with commits.meanwhile(commit, lambda: change(operator, recovery_id, Deadline.after(600))):
        turn(pipeline, recovery_id)
    assert commits.strikes == 1
    assert len(pipeline.executions.started) == claimed
    attempts = pipeline.rows("SELECT attempt FROM roadmap_tasks WHERE attempt > 1")
    assert attempts == [{"attempt": 2}] * claimed
    if change is pause:
        resume(operator, recovery_id, Deadline.after(600))
    operator.engine.dispose()
    run_started(pipeline)
    finish(pipeline, recovery_id)
    wanted = ["recovered"] * (2 if change is pause else claimed)
    assert sorted(results(send, recovery_id).values()) == wanted + ["refused"] * (2 - len(wanted))
    assert results(send, recovery_id).keys() == set(tasks)


def test_paused_recoveries_do_not_hide_others_from_the_sweep_and_each_is_listed_once(
    pipeline: Pipeline, send: Send, create_waiting: Callable[..., str]
) -> None:
    """Regression: a sweep looked at the same fifty recoveries each time."""
    fail(pipeline, 1)
    pause(pipeline.services, create_waiting(), Deadline.after(600))
    pipeline.execute(
        "INSERT INTO content_recoveries"
        " SELECT (json_populate_record(r, json_build_object('recovery_id', n))).*"
        " FROM content_recoveries r, generate_series(1, 60) n"
    )
    last = create_waiting()
    pipeline.sweep(time=datetime.now(UTC))
    assert len(pipeline.executions.started) == 1
    assert send("GET", f"/{last}").body["counts"]["running"] == 1
    first = send("GET", "", query={"limit": "40"}).body
    rest = send("GET", "", query={"limit": "40", "cursor": first["next_cursor"]}).body
    assert len({each["recovery_id"] for each in first["items"] + rest["items"]}) == 62
    assert len(rest["items"]) == 22


def test_the_sweep_counts_the_attempt_that_its_recovery_supersedes(
    pipeline: Pipeline, create_waiting: Callable[..., str]
) -> None:
    """Regression: it counted before it started recoveries, so the numbers came with the next sweep."""
    fail(pipeline, 1)
    recovery_id = create_waiting()
    pipeline.execute(
        "UPDATE content_attempts SET ended_at = NULL, step = 'working', saved = NULL, failed = NULL"
    )
    pipeline.sweep(time=datetime.now(UTC))
    first, second = pipeline.rows("SELECT * FROM content_attempts ORDER BY attempt")
    assert (first["outcome"], first["failed"]) == ("superseded", counts(2))
    assert second["ended_at"] is None
    # Another request has superseded that of the recovery and has ended; the sweep has not counted it yet.
    pipeline.execute("UPDATE roadmap_tasks SET status = 'completed'")
    pipeline.execute(
        "UPDATE content_attempts SET step = 'ended', ended_at = now(), outcome = 'superseded'"
        " WHERE attempt = 2"
    )
    advance(pipeline.services, recovery_id, Deadline.after(600))
    assert pipeline.rows("SELECT result FROM content_recovery_tasks") == [{"result": "running"}]


def test_the_sweep_begins_with_the_recovery_that_was_advanced_longest_ago(
    pipeline: Pipeline, create_waiting: Callable[..., str]
) -> None:
    fail(pipeline, 1)
    first, second = (create_waiting() for _ in range(2))
    for advanced, order in ((first, [second, first]), (second, [first, second])):
        pipeline.execute("UPDATE content_recoveries SET ended_at = NULL")
        turn(pipeline, advanced)
        with pipeline.engine.connect() as connection:
            assert list(unfinished_recoveries(connection)) == order


def test_the_rate_follows_the_clock_of_the_database(
    pipeline: Pipeline, create_waiting: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a function with a clock one day ahead stopped the starts for a day."""
    fail(pipeline, 3)
    recovery_id = create_waiting(concurrency=1, rate_per_minute=60)

    class Tomorrow(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return datetime.now(tz) + timedelta(days=1)

    for module in ("advance", "decisions", "recovery"):
        path = f"roadmap_content.capabilities.recoveries.{module}"
        monkeypatch.setattr(importlib.import_module(path), "datetime", Tomorrow, raising=False)
    turn(pipeline, recovery_id)
    (row,) = pipeline.rows(
        "SELECT next_start_at < now() + interval '5 seconds' AS soon FROM content_recoveries"
    )
    assert row["soon"]


def test_a_task_that_misses_nothing_has_the_result_that_the_preview_says(
    pipeline: Pipeline, send: Send
) -> None:
    """Complete before: nothing to recover. Complete and `failed`: its records are corrected."""
    for task_id in fail(pipeline, 2):
        pipeline.task_id = task_id
        pipeline.run()
    pipeline.execute("UPDATE roadmap_tasks SET status = 'failed' WHERE task_id = 't-1'")
    body = {"filter": {"task_ids": ["t-0", "t-1"]}, "reason": "r"}
    assert send("POST", "", body | {"dry_run": True}).body["refused"] == {"NothingMissing": 1}
    created = send("POST", "", body).body
    finish(pipeline, created["recovery_id"], rounds=1)
    assert results(send, created["recovery_id"]) == {"t-0": "refused", "t-1": "recovered"}
    assert created["state"] == "completed"


def spend(pipeline: Pipeline, tokens: int) -> None:
    """Let each started attempt use tokens."""
    for task_id, _ in pipeline.executions.started:
        pipeline.execute(
            "INSERT INTO generation_tokens VALUES (:id, :tokens)"
            " ON CONFLICT (task_id) DO UPDATE SET tokens = generation_tokens.tokens + :tokens",
            id=task_id,
            tokens=tokens,
        )


@pytest.mark.parametrize(("budget", "each", "concurrency"), [(250, 100, 40), (1_000, 500, 1)])
def test_the_budget_stops_it_before_it_is_exceeded(
    pipeline: Pipeline, send: Send, create: Callable[..., str], budget: int, each: int, concurrency: int
) -> None:
    """Regression: while no cost was known, a quarter of the concurrency was started every five seconds."""
    fail(pipeline, 4)
    recovery_id = create(token_budget=budget, concurrency=concurrency, rate_per_minute=6_000)
    for _ in range(4):
        turn(pipeline, recovery_id)
        turn(pipeline, recovery_id)
        spend(pipeline, each)
        run_started(pipeline)
    recovery = send("GET", f"/{recovery_id}").body
    assert (recovery["state"], recovery["tokens_used"]) == ("stopped_by_budget", 2 * each)
    assert (recovery["counts"]["recovered"], recovery["counts"]["refused"]) == (2, 2)


def test_a_recovery_with_a_budget_starts_as_many_as_its_limits_allow(
    pipeline: Pipeline, send: Send, create: Callable[..., str]
) -> None:
    """Regression: one for each end of a run, and one a minute."""
    fail(pipeline, 5)
    recovery_id = create(token_budget=10_000, concurrency=3, rate_per_minute=6_000)
    spend(pipeline, 100)
    run_started(pipeline)
    turn(pipeline, recovery_id)
    assert send("GET", f"/{recovery_id}").body["counts"]["running"] == 3


def test_a_preview_counts_tasks_that_have_no_recorded_failures(pipeline: Pipeline, send: Send) -> None:
    """Tasks that were never run, or run by a release that recorded no failures, are compared with the
    tables.
    """
    for number in range(3):
        ids = concept_ids(2, f"r-{number}")
        pipeline.load(bundle_of(ids, roadmap_id=f"r-{number}", task_id=f"t-{number}"))
    pipeline.execute("DELETE FROM roadmap_metadata WHERE roadmap_id = 'r-2'")
    body = {"filter": {"task_ids": ["t-0", "t-1", "t-2"]}, "reason": "r", "dry_run": True}
    preview = send("POST", "", body).body
    assert (preview["items"]["to_generate"], preview["estimated_tokens"]) == (counts(4), None)
    assert preview["refused"] == {"RoadmapNotFound": 1}
    pipeline.execute(
        "INSERT INTO content_attempts (task_id, attempt, actor, cause, step, ended_at, generated, tokens)"
        " VALUES ('t-0', 1, 'auto', 'automatic', 'ended', now(), :generated, 0)",
        generated=json.dumps(counts(1)),
    )
    assert send("POST", "", body).body["estimated_tokens"] is None, "a generator that counts none is not free"


def test_a_preview_counts_no_items_of_a_task_that_is_running(
    pipeline: Pipeline, send: Send, create: Callable[..., str]
) -> None:
    fail(pipeline, 2)
    body = {"filter": {"task_ids": ["t-0", "t-1"]}, "reason": "r", "dry_run": True}
    create(concurrency=1)  # starts t-0
    preview = send("POST", "", body).body
    assert (preview["tasks"], preview["refused"]) == (2, {"ClaimRefused": 1})
    assert preview["items"]["to_generate"] == counts(2)


def test_bad_requests_create_nothing(pipeline: Pipeline, send: Send) -> None:
    fail(pipeline, 1)
    bodies: tuple[tuple[dict[str, Any], str], ...] = (
        ({"filter": {}, "reason": "r"}, "InvalidRequest"),
        ({"filter": {"status": ["failed"]}}, "InvalidRequest"),
        ({"filter": {"nonsense": 1}, "reason": "r"}, "InvalidRequest"),
        ({"filter": {"status": ["nonsense"]}, "reason": "r"}, "NothingMatches"),
        ({"filter": {"task_ids": ["nobody"]}, "reason": "r"}, "NothingMatches"),
    )
    for body, error in bodies:
        answer = send("POST", "", body)
        assert (answer.status, answer.body["error"]) == (422, error)
        assert answer.body["detail"] == answer.body["message"]
    assert pipeline.rows("SELECT count(*) AS n FROM content_recoveries") == [{"n": 0}]


TASKS_OF_A_RECOVERY = text("""
INSERT INTO content_recovery_tasks (recovery_id, position, task_id, canary, result, attempt, started_at,
    ended_at, tokens)
SELECT :recovery_id, n, 't-' || n, n <= 5, CASE WHEN n > :tasks / 2 THEN 'waiting' ELSE 'recovered' END, 1,
    now(), CASE WHEN n <= :tasks / 2 THEN now() - make_interval(secs => n) END, 10
FROM generate_series(1, :tasks) AS n
""")

MANY_TASKS = """
INSERT INTO roadmap_tasks (task_id, user_id, status, roadmap_id, attempt)
SELECT 't-' || n, 'u', 'failed', 'r-' || n, 1 FROM generate_series(1, :tasks) AS n
"""


@pytest.mark.slow
@pytest.mark.parametrize("most", [300, pytest.param(MAX_TASKS, marks=pytest.mark.nightly)])
def test_a_recovery_has_a_limited_number_of_tasks(
    pipeline: Pipeline, send: Send, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr("roadmap_content.capabilities.recoveries.create.MAX_TASKS", most)
    body = {"filter": {"status": ["failed"]}, "reason": "r", "rate_per_minute": most // 2}
    pipeline.execute(MANY_TASKS, tasks=most)
    pipeline.execute("ANALYZE roadmap_tasks")
    preview = send("POST", "", body | {"dry_run": True})
    assert (preview.status, preview.body["tasks"], preview.body["estimated_minutes"]) == (200, most, 2)
    assert preview.body["refused"] == {"RoadmapNotFound": most}
    created = send("POST", "", body)
    assert created.status == 201, created
    assert created.body["counts"]["total"] == most
    # Each of them is refused: by the request while it has time, the others by the cancellation.
    send("POST", f"/{created.body['recovery_id']}/cancel")
    assert send("GET", f"/{created.body['recovery_id']}").body["counts"]["refused"] == most

    pipeline.execute(
        "INSERT INTO roadmap_tasks (task_id, user_id, status) VALUES ('one more', 'u', 'failed')"
    )
    for dry_run in (True, False):
        refused = send("POST", "", body | {"dry_run": dry_run})
        assert (refused.status, refused.body["error"]) == (422, "TooManyTasks")
    assert pipeline.rows("SELECT count(*) AS n FROM content_recoveries") == [{"n": 1}]


def test_a_recovery_records_a_user_s_retry_after_its_own_attempt(
    pipeline: Pipeline, send: Send, create: Callable[..., str]
) -> None:
    """Its attempt ends without success, and the user starts another one before the recovery looks."""
    (task_id,) = fail(pipeline, 1)
    recovery_id = create(rate_per_minute=6_000)
    run_started(pipeline, fails=True)
    pipeline.retry(task_id=task_id)
    turn(pipeline, recovery_id)
    assert results(send, recovery_id) == {task_id: "running"}
    run_started(pipeline)
    finish(pipeline, recovery_id)
    (row,) = send("GET", f"/{recovery_id}/tasks").body["items"]
    assert (row["result"], row["attempt"]) == ("recovered", 2)
    assert pipeline.task()["attempt"] == 3


def test_a_task_that_cannot_be_started_now_waits_for_the_next_advance(
    pipeline: Pipeline, send: Send, create_waiting: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (task_id,) = fail(pipeline, 1)
    recovery_id = create_waiting()
    with monkeypatch.context() as without_database:
        away = DatabaseUnavailableError("the database is not reachable")
        without_database.setattr(f"{advance.__module__}.retry_task", Mock(side_effect=away))
        turn(pipeline, recovery_id)
        assert results(send, recovery_id) == {task_id: "waiting"}
    finish(pipeline, recovery_id)
    assert results(send, recovery_id) == {task_id: "recovered"}
