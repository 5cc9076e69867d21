"""The feed of a task's changes: complete, in order, each change once, and cheap to poll."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any
from unittest import mock

import pytest
from botocore.httpsession import URLLib3Session
from sqlalchemy import Connection, event, text

from local_stack.lock_waiters import processes_waiting_for
from local_stack.processes import becomes_true
from roadmap_content.api import history
from roadmap_content.api.cancel import cancel_task
from roadmap_content.contracts.events import AttemptEvents, Part, PartType
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.storage.keys import staged_key
from roadmap_content.runs.retries.retry import retry_task
from roadmap_content.runs.steps import save
from roadmap_content.state import outbox
from roadmap_content.state.outbox import count_unsent_events, events_of_task, record_events
from roadmap_content.state.services import Services
from roadmap_content.state.tasks.attempts import user_start
from tests.support.factories import TYPES, USER, bundle_of, concept_ids
from tests.support.pipeline import Pipeline, services_for
from tests.support.requests_to_api import Ask, Reply

IDS = concept_ids(3)


@pytest.fixture(autouse=True)
def loaded(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(IDS))


def poll(ask: Ask, after: str | None = None, limit: int = 100) -> Reply:
    query = {"limit": str(limit)} | ({"after": after} if after else {})
    return ask("GET", "/tasks/t-1/changes", query)


def pages(ask: Ask, limit: int) -> Iterator[dict[str, Any]]:
    """All changes, each page with the cursor of the last change before it."""
    after = None
    for _ in count():
        page = poll(ask, after, limit).body
        yield from page["items"]
        if not page["more"]:
            return
        after = page["items"][-1]["cursor"]


def test_a_run_is_a_feed_of_changes_without_an_event_bus(pipeline: Pipeline, ask: Ask) -> None:
    pipeline.run()
    changes = list(pages(ask, limit=4))
    assert [changes[0]["type"], changes[-1]["type"]] == ["Attempt Started", "Task Finalized"]
    assert Counter(change["type"] for change in changes) == {
        "Attempt Started": 1,
        "Item Saved": len(IDS) * TYPES,
        "Concept Completed": 3,
        "Batch Saved": TYPES,
        "Task Finalized": 1,
    }
    saved = [change["data"] for change in changes if change["type"] == "Item Saved"]
    assert {(item["concept_id"], item["content_type"]) for item in saved} == {
        (concept_id, str(content_type)) for concept_id in IDS for content_type in ContentType
    }
    assert list(pages(ask, limit=100)) == changes
    with pipeline.engine.connect() as connection:
        assert count_unsent_events(connection, 100) == (0, 0)


def test_every_cancellation_is_a_change(pipeline: Pipeline, ask: Ask) -> None:
    pipeline.plan()
    for _ in range(2):
        cancel_task(pipeline.services, "t-1", USER, Deadline.after(60), f"user:{USER}", None)
        start = user_start(USER)
        retry_task(pipeline.services, "t-1", USER, Deadline.after(60), start)
    cancel_task(pipeline.services, "t-1", USER, Deadline.after(60), f"user:{USER}", None)
    types = [change["type"] for change in poll(ask).body["items"]]
    assert types == ["Attempt Started", "Task Cancelled"] * 3


def test_a_reader_between_two_transactions_that_overlap_misses_no_change(
    pipeline: Pipeline, ask: Ask, database_url: str
) -> None:
    """The second one commits first, unless it waits. A reader then continues after its change."""
    other = services_for(database_url)

    def write(services: Services, connection: Connection, concept_id: str) -> None:
        saved = [Part.saved(Item(concept_id, ContentType.QUIZ))]
        record_events(
            services, connection, AttemptEvents("t-1", "r-1", 1, "arn:1").batch_saved(0, "quiz", saved)
        )

    def write_and_commit() -> None:
        with other.engine.begin() as connection:
            write(other, connection, "second")

    def read(after: str | None) -> tuple[list[str], str | None]:
        page = poll(ask, after).body
        saved = [change for change in page["items"] if change["type"] == PartType.ITEM_SAVED]
        return [change["data"]["concept_id"] for change in saved], page["next_cursor"]

    with ThreadPoolExecutor(1) as pool:
        with pipeline.engine.begin() as first:
            write(pipeline.services, first, "first")
            second = pool.submit(write_and_commit)
            assert becomes_true(lambda: second.done() or bool(processes_waiting_for(first)), 600)
            meanwhile, cursor = read(None)
        second.result()
    afterwards, _ = read(cursor)
    assert meanwhile + afterwards == ["first", "second"]
    other.engine.dispose()


def test_a_poll_is_two_reads_and_no_request_to_aws(pipeline: Pipeline, ask: Ask) -> None:
    pipeline.run()
    last = list(pages(ask, limit=100))[-1]["cursor"]
    statements: list[str] = []

    @event.listens_for(pipeline.services.reading_engine, "before_cursor_execute")
    def note(_connection: object, _cursor: object, statement: str, *_others: object) -> None:
        statements.append(statement)

    with mock.patch.object(URLLib3Session, "send", side_effect=AssertionError("a request to AWS")):
        reply = poll(ask, last)
    assert reply.body == {"items": [], "next_cursor": last, "status": "completed", "more": False,
                          "restarted": False}  # fmt: skip
    assert [("roadmap_tasks" in statement, "content_events" in statement) for statement in statements] == [
        (True, False),
        (False, True),
    ]


def test_a_poll_looks_up_the_task_s_changes_by_index(pipeline: Pipeline, ask: Ask) -> None:
    with pipeline.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO content_events (event_id, detail_type, task_id, detail, delivered_at)"
                " SELECT n, 'Item Saved', 't-' || n % 500, '{}', now() FROM generate_series(1, 20000) n"
            )
        )
        connection.execute(text("ANALYZE content_events"))
        parameters = {"task_id": "t-1", "first": 0, "part": -1, "limit": 100}
        plan = "\n".join(connection.scalars(text(f"EXPLAIN {outbox.CHANGES}"), parameters))
    assert "content_event_of_task" in plan


def test_the_pause_between_polls_follows_the_task(pipeline: Pipeline, ask: Ask) -> None:
    pipeline.plan()
    at_work = poll(ask).headers["Retry-After"]
    pipeline.run()
    at_rest = poll(ask).headers["Retry-After"]
    more = poll(ask, limit=1).headers["Retry-After"]
    assert int(more) == 0 < int(at_work) < int(at_rest)


def test_a_task_that_waits_long_in_the_queue_is_polled_rarely(pipeline: Pipeline, ask: Ask) -> None:
    pipeline.retry()
    pipeline.execute("UPDATE content_queue SET state = 'waiting', admitted_at = NULL")

    def pause(minutes: int) -> int:
        pipeline.execute(
            "UPDATE content_attempts SET claimed_at = claimed_at - make_interval(mins => :m)", m=minutes
        )
        return int(poll(ask).headers["Retry-After"])

    assert 2 == pause(0) < pause(2) < pause(2) < pause(10) == pause(600) == 30
    pipeline.execute("UPDATE content_queue SET state = 'running', admitted_at = enqueued_at")
    assert pause(0) == 2


def test_a_cursor_from_before_a_restored_backup_reads_from_the_start(pipeline: Pipeline, ask: Ask) -> None:
    """Regression: the changes after the restore were skipped until their positions passed the cursor's."""
    pipeline.run()
    changes = list(pages(ask, limit=100))
    last = changes[-1]["cursor"]
    pipeline.execute("DELETE FROM content_events WHERE position > 3")
    pipeline.execute("ALTER TABLE content_events ALTER COLUMN position RESTART WITH 4")
    kept = changes[: 1 + 2 * (len(IDS) + 1)]  # the start, and two content types of the batch

    def read(after: str) -> tuple[bool, list[dict[str, Any]]]:
        page = poll(ask, after).body
        return page["restarted"], page["items"]

    assert read(last) == (True, kept)
    again = [AttemptEvents("t-1", "r-1", 2, "arn:1").cancelled(f"user:{USER}") for _ in range(20)]
    with pipeline.engine.begin() as connection:
        record_events(pipeline.services, connection, again)
    restarted, items = read(last)
    assert (restarted, items[: len(kept)], len(items)) == (True, kept, len(kept) + 20)
    assert read(kept[-1]["cursor"]) == (False, items[len(kept) :])
    assert read(items[-1]["cursor"]) == (False, [])


def record_batch(pipeline: Pipeline, number: int, ids: Sequence[str], *, crash: bool = False) -> None:
    """Record a saved batch with all content types, as one transaction of Save does."""
    subject = AttemptEvents("t-1", "r-1", 1, "arn:1")
    completed = [Part.completed(concept_id, f"the name of {concept_id}") for concept_id in ids]
    with pipeline.engine.begin() as connection:
        for content_type in ContentType:
            saved = [Part.saved(Item(concept_id, content_type)) for concept_id in ids]
            last = content_type is list(ContentType)[-1]
            events = subject.batch_saved(number, content_type, saved + completed * last)
            record_events(pipeline.services, connection, events)
        if crash:
            raise InterruptedError


def test_a_poll_reads_only_the_events_of_its_page(pipeline: Pipeline, ask: Ask) -> None:
    ids = concept_ids(50)
    for number in range(20):
        record_batch(pipeline, number, ids)
    for after in (None, poll(ask, limit=30).body["next_cursor"]):
        with mock.patch.object(history, "events_of_task", wraps=events_of_task) as read:
            poll(ask, after, limit=50)
        with pipeline.engine.connect() as connection:
            assert len(events_of_task(connection, *read.call_args.args[1:])) <= 2


def test_a_save_that_is_repeated_and_saves_more_reports_each_change_once(
    pipeline: Pipeline, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also a batch in several transactions, which had the same identity."""
    monkeypatch.setattr(save, "READ_AT_ONCE", 2)
    monkeypatch.setattr(save, "TRANSACTION_BYTES", 1)
    late = Item(IDS[0], ContentType.QUIZ)
    (request,) = pipeline.requests(pipeline.plan())
    body = pipeline.bucket.get(staged_key(pipeline.roadmap_id, late))
    assert body is not None
    pipeline.stage(late, b"[]")
    for _ in range(2):
        assert pipeline.save(request).failed == 1
    pipeline.stage(late, body.body)
    for _ in range(2):
        assert pipeline.save(request).failed == 0

    changes = list(pages(ask, limit=100))
    counted = Counter(
        (change["type"], change["data"].get("concept_id"), change["data"].get("content_type"))
        for change in changes
        if change["type"] in list(PartType)
    )
    assert counted == Counter(
        [
            (PartType.ITEM_FAILED, *late),
            *((PartType.ITEM_SAVED, each, of_type) for each in IDS for of_type in ContentType),
            *((PartType.CONCEPT_COMPLETED, each, None) for each in IDS),
        ]
    )
    assert len({change["id"] for change in changes}) == len(changes)


def test_a_cursor_belongs_to_its_task(pipeline: Pipeline, ask: Ask) -> None:
    pipeline.run()
    cursor = poll(ask).body["next_cursor"]
    pipeline.task_id = "t-2"
    pipeline.load(bundle_of(concept_ids(1, "r-2"), roadmap_id="r-2", task_id="t-2"))
    assert ask("GET", "/tasks/t-2/changes", {"after": cursor}).status == 422
