"""The delivery of events: no event delays or hides another one."""

import json
from collections.abc import Callable, Sequence
from datetime import timedelta

import pytest
from sqlalchemy import text

from roadmap_content.api import health as api_health
from roadmap_content.contracts import events
from roadmap_content.contracts.events import DetailType
from roadmap_content.contracts.items import ContentType
from roadmap_content.platform.aws.event_bus import MAX_BYTES, Entry
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.state.outbox import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    deliver_events,
    record_events,
)
from tests.support.factories import bundle_of, concept_ids
from tests.support.pipeline import SETTINGS, Pipeline
from tests.support.received_events import Received
from tests.support.requests_to_api import Ask

LONG = Deadline.after(3_600)


class Bus(Received):
    """A bus that refuses the events of the tasks in `refused`, and calls `meanwhile` during each request."""

    def __init__(self) -> None:
        super().__init__()
        self.refused: set[str] = set()
        self.requests: list[Sequence[Entry]] = []
        self.meanwhile: Callable[[], None] = lambda: None

    def put(self, entries: Sequence[Entry]) -> dict[str, str]:
        self.requests.append(entries)
        self.meanwhile()
        refused = {entry.event_id for entry in entries if _task(entry) in self.refused}
        super().put([entry for entry in entries if entry.event_id not in refused])
        return dict.fromkeys(refused, "MalformedDetail")

    @property
    def received(self) -> list[str]:
        return [_task(entry) for entry in self.entries]


def _task(entry: Entry) -> str:
    return str(json.loads(entry.detail)["data"]["task_id"])


@pytest.fixture
def bus(pipeline: Pipeline) -> Bus:
    pipeline.services.settings = Settings(SETTINGS | {"EVENT_BUS": "bus"})
    bus = Bus()
    pipeline.services.event_bus = bus
    return bus


def record(pipeline: Pipeline, *task_ids: str, roadmap_id: str = "r-1") -> None:
    started = [
        events.AttemptEvents(task_id, roadmap_id, 1, "arn:1").started("auto", "automatic")
        for task_id in task_ids
    ]
    with pipeline.services.engine.begin() as connection:
        record_events(pipeline.services, connection, started)


def numbered(count: int) -> list[str]:
    return [f"t-{number}" for number in range(count)]


def states(pipeline: Pipeline) -> dict[str, str]:
    rows = pipeline.rows("""
        SELECT task_id, CASE WHEN delivered_at IS NOT NULL THEN 'delivered'
            WHEN set_aside_at IS NOT NULL THEN error_code ELSE 'waiting' END AS state FROM content_events
    """)
    return {row["task_id"]: row["state"] for row in rows}


def test_a_request_never_exceeds_the_size_limit(pipeline: Pipeline, bus: Bus) -> None:
    for task_id in numbered(12):
        record(pipeline, task_id, roadmap_id="r" * 60_000)

    assert deliver_events(pipeline.services, LONG) == 12

    assert bus.received == numbered(12)
    assert all(sum(entry.size for entry in entries) <= MAX_BYTES for entries in bus.requests)


def test_an_event_that_is_too_large_is_set_aside_alone(pipeline: Pipeline, bus: Bus) -> None:
    record(pipeline, "large", roadmap_id="r" * 300_000)
    record(pipeline, *numbered(78))

    assert deliver_events(pipeline.services, LONG) == 78

    assert states(pipeline) == dict.fromkeys(numbered(78), "delivered") | {"large": "EventTooLarge"}
    assert deliver_events(pipeline.services, LONG) == 0


def test_an_event_with_any_text_is_recorded_and_sent(pipeline: Pipeline, bus: Bus) -> None:
    record(pipeline, "t", roadmap_id="a\x00\ud83d")
    assert deliver_events(pipeline.services, LONG) == 1
    assert pipeline.rows("SELECT detail -> 'data' ->> 'roadmap_id' AS r FROM content_events") == [
        {"r": "a\ufffd\ufffd"}
    ]


def test_a_concept_with_a_long_name_is_reported(pipeline: Pipeline, bus: Bus) -> None:
    bundle = bundle_of(concept_ids(1))
    (concept,) = bundle["roadmap"]["framework_data"]["stages"][0]["modules"][0]["concepts"]
    concept["name"] = "字" * 300_000
    pipeline.load(bundle)
    pipeline.run()

    deliver_events(pipeline.services, LONG)

    (completed,) = (
        name for event in bus.of(DetailType.BATCH_SAVED) for name in event["data"]["completed_concepts"]
    )
    assert completed["concept_name"] == "字" * events.MAX_NAME


def test_refused_events_do_not_keep_younger_ones_back(pipeline: Pipeline, bus: Bus) -> None:
    bus.refused = set(numbered(120))
    record(pipeline, *numbered(120), "last")

    assert deliver_events(pipeline.services, LONG) == 1
    assert bus.received == ["last"]
    assert states(pipeline) == dict.fromkeys(numbered(120), "waiting") | {"last": "delivered"}

    requests = len(bus.requests)
    deliver_events(pipeline.services, LONG)
    assert len(bus.requests) == requests, "refused events are due again after a pause"
    bus.refused = set()
    pipeline.execute("UPDATE content_events SET due_at = now()")
    assert deliver_events(pipeline.services, LONG) == 120


def test_the_pause_after_a_refusal_doubles(pipeline: Pipeline, bus: Bus) -> None:
    bus.refused = {"t-1"}
    record(pipeline, "t-1")
    pauses = []
    for _ in range(3):
        deliver_events(pipeline.services, Deadline.after(30))
        (row,) = pipeline.rows("SELECT due_at - now() AS pause FROM content_events")
        pauses.append(row["pause"])
        pipeline.execute("UPDATE content_events SET due_at = now()")
    assert timedelta(0) < pauses[0] < pauses[1] < pauses[2]
    assert pauses[2] <= timedelta(seconds=4 * FIRST_PAUSE_SECONDS)
    pipeline.execute("UPDATE content_events SET tries = 30")
    deliver_events(pipeline.services, Deadline.after(30))
    (row,) = pipeline.rows("SELECT due_at - now() AS pause FROM content_events")
    assert row["pause"] <= timedelta(seconds=LONGEST_PAUSE_SECONDS)


def test_the_locks_of_several_tasks_events_are_taken_in_one_order(pipeline: Pipeline) -> None:
    """A function of the test takes the place of PostgreSQL's."""
    started = [
        events.AttemptEvents(task_id, "r-1", 1, "arn:1").started("auto", "automatic")
        for task_id in numbered(9)[::-1]
    ]
    pipeline.execute("CREATE TABLE taken (place bigint GENERATED ALWAYS AS IDENTITY, key bigint)")
    pipeline.execute(
        "CREATE FUNCTION public.pg_advisory_xact_lock(key bigint) RETURNS void LANGUAGE plpgsql"
        " AS 'BEGIN INSERT INTO taken (key) VALUES ($1); END'"
    )
    with pipeline.engine.begin() as connection:
        connection.execute(text("SET LOCAL search_path = public, pg_catalog"))
        record_events(pipeline.services, connection, started)
    keys = (
        "SELECT hashtextextended('content_events ' || task_id, 0) AS key FROM content_events ORDER BY task_id"
    )
    assert pipeline.rows("SELECT key FROM taken ORDER BY place") == pipeline.rows(keys)


def test_an_event_that_is_refused_for_a_day_is_set_aside(
    pipeline: Pipeline,
    bus: Bus,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "RoadmapContent")
    bus.refused = {"old", "young"}
    record(pipeline, "old", "young")
    pipeline.execute(
        "UPDATE content_events SET recorded_at = recorded_at - interval '25 hours' WHERE task_id = 'old'"
    )

    deliver_events(pipeline.services, LONG)

    assert states(pipeline) == {"old": "MalformedDetail", "young": "waiting"}
    assert '"EventsSetAside": [1.0]' in capsys.readouterr().out, "an alarm reads it"
    health = ask("GET", "/health", roles="owner,operator").body
    assert (health["outbox_aside"], health["outbox_waiting"]) == (1, 1)
    assert "outbox_aside" in [found["what"] for found in health["attention"]]


@pytest.mark.parametrize(("waiting", "shown", "count"), [(3, 3, "3"), (4, 3, "more than 3")])
def test_health_says_if_more_events_wait_than_it_counts(
    pipeline: Pipeline,
    bus: Bus,
    ask: Ask,
    monkeypatch: pytest.MonkeyPatch,
    waiting: int,
    shown: int,
    count: str,
) -> None:
    monkeypatch.setattr(api_health, "MOST_WAITING", 3)
    monkeypatch.setattr(api_health, "MOST_WAITING_AT_REST", 2)
    record(pipeline, *map(str, range(waiting)))
    body = ask("GET", "/health", roles="owner,operator").body
    assert (body["outbox_waiting"], body["more_outbox_waiting"]) == (shown, waiting > shown)
    (text,) = (found["text"] for found in body["attention"] if found["what"] == "outbox")
    assert text.startswith(f"Events that wait to be delivered: {count}. ")


def test_events_wait_however_long_the_bus_is_down_and_the_sweep_sends_them(
    pipeline: Pipeline, bus: Bus
) -> None:
    record(pipeline, *numbered(3))
    pipeline.execute("UPDATE content_events SET recorded_at = recorded_at - interval '25 hours'")
    bus.down = True
    assert deliver_events(pipeline.services, LONG) == 0
    bus.down = False

    pipeline.sweep()

    assert bus.received == numbered(3)


def test_what_was_sent_is_marked_before_the_next_request(pipeline: Pipeline, bus: Bus) -> None:
    record(pipeline, *numbered(25))

    def marked() -> None:
        delivered = [state for state in states(pipeline).values() if state == "delivered"]
        assert len(delivered) == len(bus.entries)

    bus.meanwhile = marked
    assert deliver_events(pipeline.services, LONG) == 25
    assert len(bus.requests) == 3


class Spent(Deadline):
    """A deadline that is over as soon as a request has been sent."""

    bus: Bus

    @property
    def remaining(self) -> float:
        return 0.5 if self.bus.requests else 600.0


def test_a_slow_bus_gets_no_request_that_does_not_fit_the_deadline(pipeline: Pipeline, bus: Bus) -> None:
    record(pipeline, *numbered(25))
    deadline = Spent.after(600)
    deadline.bus = bus

    assert deliver_events(pipeline.services, deadline) == 10
    assert len(bus.requests) == 1
    assert list(states(pipeline).values()).count("delivered") == 10


def test_concurrent_deliveries_send_different_events(pipeline: Pipeline, bus: Bus) -> None:
    record(pipeline, *numbered(15))

    def deliver_the_rest() -> None:
        bus.meanwhile = lambda: None
        assert deliver_events(pipeline.services, LONG) == 5

    bus.meanwhile = deliver_the_rest
    assert deliver_events(pipeline.services, LONG) == 10
    assert sorted(bus.received) == sorted(numbered(15))


def test_an_event_whose_sender_died_is_sent_again(pipeline: Pipeline, bus: Bus) -> None:
    record(pipeline, "t-1")

    def die() -> None:
        bus.meanwhile = lambda: None
        raise KeyboardInterrupt

    bus.meanwhile = die
    with pytest.raises(KeyboardInterrupt):
        deliver_events(pipeline.services, LONG)
    assert deliver_events(pipeline.services, LONG) == 0
    pipeline.execute("UPDATE content_events SET due_at = due_at - interval '10 minutes'")
    assert deliver_events(pipeline.services, LONG) == 1


def test_events_that_another_session_holds_are_passed_over(pipeline: Pipeline, bus: Bus) -> None:
    record(pipeline, *numbered(3))
    with pipeline.engine.begin() as connection:
        connection.execute(text("SELECT 1 FROM content_events WHERE task_id = 't-0' FOR UPDATE"))
        assert deliver_events(pipeline.services, Deadline.after(20)) == 2
    assert bus.received == ["t-1", "t-2"]


def test_an_answer_of_the_api_sends_no_event(pipeline: Pipeline, bus: Bus, ask: Ask) -> None:
    pipeline.load(bundle_of(concept_ids(1)))

    assert ask("POST", "/tasks/t-1/retry").status == 202

    assert bus.requests == []
    deliver_events(pipeline.services, LONG)
    assert len(bus.of(DetailType.ATTEMPT_STARTED)) == 1


def test_a_state_that_comes_back_is_reported_again(pipeline: Pipeline, bus: Bus) -> None:
    """Complete, then incomplete, then complete, then incomplete, in one attempt."""
    pipeline.load(bundle_of(concept_ids(1)))
    planned = pipeline.plan()
    for batch in pipeline.requests(planned):
        pipeline.save(batch)
    kept = "CREATE TABLE kept AS SELECT * FROM quiz_metadata"
    pipeline.execute(kept)
    for change in (None, "DELETE FROM quiz_metadata", "INSERT INTO quiz_metadata SELECT * FROM kept") * 2:
        if change is not None:
            pipeline.execute(change)
        pipeline.finalize(planned)
        pipeline.finalize(planned)  # a repeated step: nothing has changed

    deliver_events(pipeline.services, LONG)

    missing = [event["data"]["missing"][ContentType.QUIZ] for event in bus.of(DetailType.TASK_FINALIZED)]
    assert missing == [0, 1, 0, 1, 0]
    assert len(bus.of(DetailType.CONCEPT_FAILED)) == 2


@pytest.mark.parametrize(
    ("privilege", "table"), [("SELECT", "content_recoveries"), ("DELETE", "content_events")]
)
def test_a_refusal_before_its_checks_does_not_stop_the_sweep(
    pipeline: Pipeline, bus: Bus, privilege: str, table: str
) -> None:
    settings = SETTINGS | {"EVENT_BUS": "bus", "AUTOMATIC_ATTEMPTS": "1"}
    pipeline.services.settings = Settings(settings)
    pipeline.load(bundle_of(concept_ids(1)))
    pipeline.run()
    pipeline.execute("UPDATE roadmap_tasks SET status = 'failed'")
    with pipeline.services.engine.begin() as connection:
        writer = connection.scalar(text("SELECT current_user"))
    pipeline.execute(f'REVOKE {privilege} ON {table} FROM "{writer}"')

    pipeline.sweep()

    assert pipeline.task()["status"] == "completed"
