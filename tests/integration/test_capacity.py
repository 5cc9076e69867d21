"""The capacity through the API: slots, the stop switch and its audit trail, and a batch that it stops."""

import io
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import make_url, text

from roadmap_command import main
from roadmap_command.commands.operate import watched
from roadmap_command.interface import ExitCode
from roadmap_command.terminal import Terminal
from roadmap_command.views import bars, outcome
from roadmap_content.api.health import read_health
from roadmap_content.capabilities.composed import EVERY
from roadmap_content.client.http import HttpAnswer
from roadmap_content.content.generation.quota import GenerationStoppedError
from roadmap_content.contracts.api.system import Attention, Health
from roadmap_content.platform.aws.executions import ExecutionState
from roadmap_content.platform.postgres import transactions
from roadmap_content.platform.postgres.engine import CONNECT_TIMEOUT, Credentials, open_engine
from tests.integration.test_queue import load, retry, started
from tests.support.factories import TYPES, USER, bundle_of, concept_ids
from tests.support.generators import Meanwhile
from tests.support.pipeline import Pipeline
from tests.support.requests_to_api import OPERATOR, Ask, Reply
from tests.unit.conftest import stand_in

Send = Callable[..., Reply]


@pytest.fixture
def send(ask: Ask) -> Send:
    """Sends a request as an operator, by default."""
    return lambda method, body=None, **who: ask(method, "/capacity", body=body, **(OPERATOR | who))


def staged(pipeline: Pipeline) -> int:
    return len(list(pipeline.bucket.keys("staged/", "")))


def test_a_stop_admits_nothing_and_the_resumption_starts_what_waits(pipeline: Pipeline, send: Send) -> None:
    stopped = send("PUT", {"stopped": True, "reason": "the bill"})
    assert (stopped.status, stopped.body["stopped"], stopped.body["stopped_reason"]) == (
        200,
        True,
        "the bill",
    )
    task_id = load(pipeline, 1)
    assert retry(pipeline, task_id).startswith("Attempt queued")
    assert started(pipeline) == []
    resumed = send("PUT", {"stopped": False, "reason": "paid"})
    assert started(pipeline) == [task_id]
    assert (resumed.body["stopped"], resumed.body["stopped_reason"]) == (False, None)
    (interactive,) = resumed.body["classes"]
    assert (interactive["waiting"], interactive["at_work"]) == (0, 1)


def test_a_run_that_ended_unnoticed_is_found_a_minute_after_its_last_sign(
    pipeline: Pipeline, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    executions = pipeline.executions
    state, described = executions.state, []

    def describe(arn: str) -> ExecutionState:
        described.append(arn)
        return state(arn)

    monkeypatch.setattr(executions, "state", describe)

    def each_minute() -> None:
        pipeline.execute("UPDATE content_queue SET admitted_at = admitted_at - interval '1 minute'")
        pipeline.execute("UPDATE content_events SET recorded_at = recorded_at - interval '1 minute'")
        described.clear()
        pipeline.sweep(starts_only=True, time=datetime.now(UTC))

    send("PUT", {"slots": 1, "reason": "less"})
    first, second = load(pipeline, 1), load(pipeline, 2)
    retry(pipeline, first)
    (arn,) = executions.names
    executions.states[arn] = ExecutionState.RUNNING
    pipeline.execute("UPDATE content_queue SET state = 'running'")
    pipeline.sweep(starts_only=True, time=datetime.now(UTC))
    assert described == [], "it has just begun"
    retry(pipeline, second)
    each_minute()
    assert (described, started(pipeline)) == ([arn], [first])
    executions.states[arn] = ExecutionState.OVER  # without an event
    each_minute()
    assert started(pipeline) == [first, second]
    (task,) = pipeline.rows("SELECT status FROM roadmap_tasks WHERE task_id = :id", id=first)
    assert task["status"] == "failed"


def test_each_change_is_recorded_once_with_its_actor_and_reason(send: Send) -> None:
    for body in (
        {"slots": 20, "reason": "the quota was raised"},
        {"slots": 20, "reason": "again"},
        {"stopped": True, "reason": "the bill"},
        {"stopped": True, "reason": "again"},
        {"slots": 5, "reason": "less"},
    ):
        assert send("PUT", body).status == 200
    fields = "actor", "reason", "slots_before", "slots", "stopped_before", "stopped"
    changes = send("GET").body["changes"]
    assert [tuple(each[field] for field in fields) for each in changes] == [
        ("operator:op", "less", 20, 5, True, True),
        ("operator:op", "the bill", 20, 20, False, True),
        ("operator:op", "the quota was raised", 10, 20, False, False),
    ]


def test_the_model_s_quota_is_set_changed_and_removed_and_each_change_is_recorded(send: Send) -> None:
    assert send("GET").body["tokens_per_minute"] is None
    for tokens, expected in ((400_000, 400_000), (400_000, 400_000), (50_000, 50_000), (0, None), (0, None)):
        changed = send("PUT", {"tokens_per_minute": tokens, "reason": "the quota of the account"})
        assert (changed.status, changed.body["tokens_per_minute"]) == (200, expected)
    assert send("PUT", {"slots": 5, "reason": "less"}).body["tokens_per_minute"] is None
    send("PUT", {"slots": 6, "tokens_per_minute": 70_000, "stopped": True, "reason": "one change"})
    fields = "tokens_per_minute_before", "tokens_per_minute", "slots", "stopped"
    assert [tuple(each[field] for field in fields) for each in send("GET").body["changes"]] == [
        (None, 70_000, 6, True),
        (None, None, 5, False),
        (50_000, None, 10, False),
        (400_000, 50_000, 10, False),
        (None, 400_000, 10, False),
    ]


@pytest.mark.parametrize(
    "body",
    [
        {"reason": "nothing to change"},
        {"tokens_per_minute": -1, "reason": "r"},
        {"slots": 5},
        {"slots": 0, "reason": "r"},
        {"slots": 5, "reason": " "},
        {"slots": 5, "reason": "r", "tokens": 1},
    ],
    ids=lambda body: str(body)[:40],
)
def test_a_malformed_change_is_refused(send: Send, body: dict[str, Any]) -> None:
    refused = send("PUT", body)
    assert (refused.status, refused.body["error"]) == (422, "InvalidRequest")
    assert send("GET").body["changes"] == []


def test_a_running_attempt_generates_no_further_item_until_the_resumption(
    pipeline: Pipeline, send: Send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("roadmap_content.runs.steps.generate.PARALLEL", 1)
    generator = Meanwhile(2, lambda: send("PUT", {"stopped": True, "reason": "the bill"}))
    pipeline.services.generator = generator
    load(pipeline, 1)
    planned = pipeline.plan()
    batch, *others = pipeline.requests(planned)
    for each in (batch, *others):
        with pytest.raises(GenerationStoppedError):
            pipeline.generate(each)
    assert len(generator.made) == staged(pipeline) == 2
    assert pipeline.rows("SELECT * FROM content_failures") == []

    send("PUT", {"stopped": False, "reason": "paid"})
    report = pipeline.generate(batch)
    assert (report.staged, report.generated, report.failed) == (2, report.planned - 2, 0)
    for each in others:
        pipeline.generate(each)
    for each in (batch, *others):
        pipeline.save(each)
    assert pipeline.finalize(planned).complete
    assert len(generator.made) == len(set(generator.made)) == 20 * TYPES
    assert pipeline.task()["attempt"] == 1


def test_a_stop_is_visible_wherever_it_is_met(pipeline: Pipeline, send: Send, ask: Ask) -> None:
    def states() -> set[str]:
        return set(ask("GET", "/tasks/t-1/items", {"user_id": USER}).body["states"])

    load(pipeline, 1)
    pipeline.plan()
    assert states() == {"G"}
    send("PUT", {"stopped": True, "reason": "the Bill [1]"})
    assert "G" not in states(), "nothing is generated while generation is stopped"
    send("PUT", {"slots": 7, "reason": "another change"})
    status = pipeline.status()
    sentence = f"Generation is stopped since {datetime.now(UTC):%Y-%m-%d} "

    health = attention(pipeline)[0].text
    console = Terminal(width=1_000)
    console.file = io.StringIO()
    with bars(console) as shown:
        shown.show(status)
        shown.show(status)
    console.print(outcome(status))
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue(), watched(status).plain, health

    assert [text.count(sentence) for text in printed] == [2, 1, 1]
    assert all("the Bill [1]; what is staged is kept" in text for text in printed)
    send("PUT", {"stopped": False, "reason": "paid"})
    assert pipeline.status().generation_stopped is None


def attention(pipeline: Pipeline) -> list[Attention]:
    return read_state(pipeline).attention


def read_state(pipeline: Pipeline) -> Health:
    with pipeline.services.reading_engine.connect() as connection:
        return read_health(connection, EVERY, "release")


@pytest.mark.parametrize(
    ("command", "is_open"),
    [
        ("doctor", False),
        ("doctor", True),
        ("show t-1", False),
        ("show t-1", True),
        ("status t-1", False),
        ("tasks", False),
        ("failures", False),
    ],
)
def test_a_database_that_hangs_is_said_in_a_part_of_the_time_of_a_request(
    pipeline: Pipeline,
    ask: Ask,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    is_open: bool,
) -> None:
    """Regression: a person waited as long as a request may take; twice that in `doctor`, and in the others
    until the command had sent its request for the last time.
    """

    def answer(method: str, path: str, *_: object, **__: object) -> HttpAnswer:
        return HttpAnswer(*ask(method, path, **OPERATOR))

    stand_in(SimpleNamespace(send=answer), monkeypatch.setattr)
    monkeypatch.setattr(sys, "argv", ["roadmap", *command.split()])
    if command == "show t-1":
        monkeypatch.setenv("ROADMAP_STACK", "on-aws")
    monkeypatch.setattr(transactions, "IMPATIENT_SECONDS", 0.1)
    ours, theirs = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as hanging, ours, theirs, ours.makefile("rwb") as file:
        credentials = Credentials.from_url(make_url(database_url))
        for name in ("engine", "reading_engine"):
            engine = open_engine(lambda: credentials, tls=False, is_patient=False)
            monkeypatch.setattr(pipeline.services, name, engine)
        if is_open:
            assert ask("GET", "/health", **OPERATOR).status == 200
            pooled = pipeline.services.reading_engine.raw_connection()
            driver: Any = pooled.dbapi_connection
            pooled.close()
            for name, silent in (("_sock", file), ("_usock", ours)):  # nobody answers there
                getattr(driver, name).close()
                setattr(driver, name, silent)
        credentials = replace(credentials, port=hanging.getsockname()[1])
        began = time.monotonic()
        code = main.run()
        lasted = time.monotonic() - began
        pipeline.services.engine.dispose()
    said = capsys.readouterr().err.splitlines()[-1]
    place = "aws rds" if command == "show t-1" else "the database's log"
    what = "the reader cannot read" if command == "doctor" else "The database does not answer"
    assert f"{what} since " in said
    assert all(part in said for part in ("stays staged", f"First look at: {place}", "databaseerrorsalarm"))
    assert code == ExitCode.EXTERNAL_FAILURE
    assert lasted < CONNECT_TIMEOUT, "a person waits for a ping and IMPATIENT_SECONDS"


def test_a_queue_that_stands_still_needs_a_person(pipeline: Pipeline, send: Send) -> None:
    """Only if none is at work: otherwise the next one starts when that one ends."""
    for number in (1, 2):
        retry(pipeline, load(pipeline, number))

    def halted(minutes: int, waiting: str = "t-1 t-2", queue_class: str = "interactive") -> bool:
        pipeline.execute(
            "UPDATE content_queue SET state = CASE WHEN task_id = ANY(:waiting) THEN 'waiting' "
            "ELSE 'running' END, class = :queue_class, "
            "enqueued_at = now() - make_interval(mins => :minutes)",
            minutes=minutes,
            waiting=waiting.split(),
            queue_class=queue_class,
        )
        return "queue_halted" in {each.what for each in attention(pipeline)}

    assert [halted(11), halted(11, queue_class="bulk")] == [True, True]
    # The attempts of a paused recovery wait by design.
    assert not any([halted(9), halted(11, "t-1"), halted(11, queue_class="bulk_paused")])
    send("PUT", {"stopped": True, "reason": "the bill"})
    assert not halted(11)


def test_staged_content_is_saved_while_generation_is_stopped(
    pipeline: Pipeline, send: Send, ask: Ask
) -> None:
    pipeline.load(bundle_of(concept_ids(3)))
    send("PUT", {"stopped": True, "reason": "the bill"})
    planned = pipeline.plan()
    (listed,) = ask("GET", "/tasks", {"user_id": USER}).body["items"]
    turns = pipeline.status().turn.who, listed["turn"]["who"]
    assert turns == ("running", "running"), "it is not stopped"
    for request in pipeline.requests(planned):
        pipeline.save(request)
    assert pipeline.finalize(planned).complete


def test_a_claim_of_the_writer_cannot_change_the_audit_trail(pipeline: Pipeline, send: Send) -> None:
    send("PUT", {"slots": 3, "reason": "less"})
    with pytest.raises(Exception, match="permission denied"), pipeline.services.engine.begin() as connection:
        connection.execute(text("DELETE FROM content_capacity_changes"))


def test_the_hours_of_a_day_show_what_waited_worked_was_saved_and_failed(
    pipeline: Pipeline, ask: Ask
) -> None:
    """Three attempts: one waited from 20 to 18 hours ago and worked for two more, one worked then without
    having waited, and one waits for an hour.
    """
    this_hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    entries = [(-20, -18, -16), (-19, -19, -17), (-40, -39, -38), (-1, None, None)]
    for number, (enqueued, admitted, ended) in enumerate(entries):
        times = {
            name: None if hour is None else this_hour + timedelta(hours=hour, minutes=30)
            for name, hour in (("enqueued", enqueued), ("admitted", admitted), ("ended", ended))
        }
        pipeline.execute(
            "INSERT INTO content_attempts (task_id, attempt, actor, cause, step, ended_at, saved, failed)"
            " VALUES (:id, 1, 'auto', 'automatic', CASE WHEN :over THEN 'ended' ELSE 'claimed' END, :ended,"
            """ '{"quiz": 2, "tutorial": 3}', '{"quiz": 1}')""",
            id=f"t-{number}", over=ended is not None, ended=times["ended"],
        )  # fmt: skip
        pipeline.execute(
            "INSERT INTO content_queue (task_id, attempt, class, queue_key, state, tokens, grants,"
            " enqueued_at, admitted_at, ended_at) VALUES (:id, 1, 'bulk', 'u',"
            " CASE WHEN :over THEN 'ended' ELSE 'waiting' END, 0, 1, :enqueued, :admitted, :ended)",
            id=f"t-{number}", over=ended is not None, **times,
        )  # fmt: skip
    pipeline.execute(
        "INSERT INTO content_token_hours SELECT :hour, shard, 100 FROM generate_series(1, 3) AS shard",
        hour=this_hour - timedelta(hours=17),
    )
    answer = ask("GET", "/health/hours", **OPERATOR)
    shown = {
        round((datetime.fromisoformat(row.pop("hour")) - this_hour) / timedelta(hours=1)): row
        for row in answer.body["hours"]
    }
    assert list(shown) == list(range(-23, 1))

    def hours_with(name: str) -> dict[int, int]:
        return {hour: row[name] for hour, row in shown.items() if row[name]}

    assert hours_with("waiting") == {-20: 1, -19: 1, -18: 1, -1: 1, 0: 1}
    assert hours_with("at_work") == {-19: 1, -18: 2, -17: 2, -16: 1}
    assert (hours_with("saved"), hours_with("failed")) == ({-17: 5, -16: 5}, {-17: 1, -16: 1})
    assert hours_with("spent") == {-17: 300}
    assert ask("GET", "/health/hours").status == 403
