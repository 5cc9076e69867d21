"""Limits of sizes: staged objects, responses of the API, and the history of a task's earlier attempts."""

import json
from math import ceil

import pytest
from sqlalchemy import event

from roadmap_content.api.items import read_item_map
from roadmap_content.contracts.api.items import MAX_CONCEPTS
from roadmap_content.contracts.documents import MAX_STAGED
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.storage import bucket as storage
from tests.support.factories import TYPES, USER, bundle_of, concept_ids, counts, resources
from tests.support.pipeline import Pipeline
from tests.support.requests_to_api import Ask

IDS = concept_ids(3)


def test_staged_content_that_is_too_large_is_refused_unread_and_regenerated(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.load(bundle_of(IDS))
    item = Item(IDS[1], ContentType.RESOURCES)
    entry = resources(IDS[1])["resources"][0]
    body = json.dumps(resources(IDS[1], resources=[entry] * 10_000)).encode()
    assert len(body) > MAX_STAGED
    pipeline.stage(item, body)
    longest = 0
    stored_object = storage.StoredObject

    def stored(body: bytes, metadata: dict[str, str]) -> storage.StoredObject:
        nonlocal longest
        longest = max(longest, len(body))
        return stored_object(body, metadata)

    monkeypatch.setattr(storage, "StoredObject", stored)
    assert pipeline.run().missing == counts(resources=1)
    (failed,) = pipeline.task()["failed_concepts"]["items"]
    assert (failed["error_code"], failed["stage"]) == ("InvalidContent", "save")
    assert str(len(body)) in failed["reason"]

    assert pipeline.run().complete
    assert longest <= MAX_STAGED
    monkeypatch.undo()
    client = pipeline.bucket._client  # noqa: SLF001 - all objects, under any key
    (kept,) = client.list_objects_v2(Bucket="content", Prefix="rejected/")["Contents"]
    assert kept["Size"] == len(body)


def test_generated_content_that_is_too_large_is_not_staged(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(IDS))
    with pytest.raises(Exception, match="bytes"):
        pipeline.staging().write(Item("a", ContentType.QUIZ), {"note": "x" * MAX_STAGED})
    assert not pipeline.staging().holds(Item("a", ContentType.QUIZ))


@pytest.mark.slow
def test_a_response_fits_for_any_ids(pipeline: Pipeline) -> None:
    """Ids of 860 characters become 6 kB each, because the body is JSON inside JSON."""
    ids = [f"{number:04}{'漢' * 850}" for number in range(700)]
    bundle = bundle_of(ids)
    bundle["content"] = []
    pipeline.load(bundle)
    pipeline.finalize(pipeline.plan())
    status = pipeline.status()
    assert len(json.dumps(json.dumps(status.model_dump(mode="json")))) < 4_000_000
    assert status.progress[ContentType.QUIZ].missing == 700
    assert [item.concept_id for item in status.failed_items[::TYPES]] == (
        ids[: ceil(len(status.failed_items) / TYPES)]
    )
    seen: list[str] = []
    cursor = None
    while cursor is not None or not seen:
        page = read_item_map(
            pipeline.services, "t-1", USER, cursor, MAX_CONCEPTS, Deadline.after(600), with_stages=True
        )
        assert len(json.dumps(json.dumps(page.model_dump(mode="json")))) < 5_000_000
        assert page.stages is not None
        seen += [concept_id for stage in page.stages for m in stage.modules for concept_id, _ in m.concepts]
        cursor = page.next_cursor
    assert seen == ids


def test_the_items_of_long_ids_are_read_page_by_page(pipeline: Pipeline, ask: Ask) -> None:
    """The address of a request is limited, and an id of 2,000 characters is longer in it."""
    ids = [f"{number}{'漢' * 1_999}" for number in range(3)]
    pipeline.load(bundle_of(ids) | {"content": []})
    seen: list[str] = []
    query: dict[str, str] = {"user_id": USER, "limit": "1", "stages": "true"}
    while len(seen) < len(ids):
        page = ask("GET", "/tasks/t-1/items", query)
        assert page.status == 200, page.body
        seen += [each for stage in page.body["stages"] for m in stage["modules"] for each, _ in m["concepts"]]
        query["cursor"] = page.body["next_cursor"]
    assert seen == ids


def test_a_status_reads_the_failures_of_the_last_attempt_and_old_ones_expire(pipeline: Pipeline) -> None:
    bundle = bundle_of(IDS)
    bundle["content"] = []
    pipeline.load(bundle)
    for _ in range(23):
        pipeline.finalize(pipeline.plan())
    kept = pipeline.rows("SELECT DISTINCT attempt FROM content_failures ORDER BY 1")
    assert [row["attempt"] for row in kept] == list(range(4, 24))
    read = []
    event.listen(
        pipeline.engine,
        "before_cursor_execute",
        lambda _c, _u, statement, *_: read.append(statement) if "content_failures" in statement else None,
    )
    assert len(pipeline.status().failed_items) == 3 * TYPES
    (statement,) = read
    assert "attempt = " in statement
