"""A task's status, as polling clients see it."""

import json
from typing import Any

import pytest

from roadmap_content.content.roadmaps import metadata as roadmaps
from roadmap_content.content.roadmaps.framework import parse_framework
from roadmap_content.contracts.api.tasks import MOST_ITEMS
from roadmap_content.contracts.errors import TaskNotFoundError
from roadmap_content.contracts.items import MAX_REASON, ContentType
from tests.support.factories import TYPES, bundle_of, concept_ids, framework_of
from tests.support.pipeline import Pipeline

IDS = concept_ids(3)
WRITE = "UPDATE roadmap_metadata SET framework_data = CAST(:document AS json) WHERE roadmap_id = :roadmap_id"


@pytest.fixture
def frameworks_read(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    documents: list[object] = []

    def read(text: str) -> Any:
        documents.append(text)
        return parse_framework(text)

    monkeypatch.setattr(roadmaps, "parse_framework", read)
    return documents


def totals(pipeline: Pipeline) -> set[int]:
    return {progress.total for progress in pipeline.status().progress.values()}


def write_framework(pipeline: Pipeline, *ids: str) -> None:
    pipeline.execute(WRITE, document=json.dumps(framework_of(ids)), roadmap_id=pipeline.roadmap_id)


def test_a_poll_sees_every_save_and_reads_the_framework_once(
    pipeline: Pipeline, frameworks_read: list[object]
) -> None:
    pipeline.load(bundle_of(IDS))
    planned = pipeline.plan()
    frameworks_read.clear()
    for saved, request in enumerate(pipeline.requests(planned)):
        assert sum(progress.saved > 0 for progress in pipeline.status().progress.values()) == saved
        pipeline.save(request)
    assert {progress.saved for progress in pipeline.status().progress.values()} == {len(IDS)}
    assert len(frameworks_read) == 1


def test_a_poll_sees_changes_of_the_framework_by_the_product(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(IDS))
    for ids in (IDS, IDS[:1], IDS[:2], IDS, ("another",)):
        write_framework(pipeline, *ids)
        assert totals(pipeline) == {len(ids)}
    pipeline.execute(WRITE, document="[]", roadmap_id=pipeline.roadmap_id)
    assert totals(pipeline) == {0}
    write_framework(pipeline, *IDS)
    assert totals(pipeline) == {len(IDS)}
    pipeline.execute("UPDATE roadmap_metadata SET deleted_at = now()")
    assert totals(pipeline) == {0}


def test_a_cached_framework_is_not_returned_to_another_user(pipeline: Pipeline) -> None:
    pipeline.load(bundle_of(IDS))
    assert totals(pipeline) == {len(IDS)}
    with pytest.raises(TaskNotFoundError):
        pipeline.status("somebody-else")
    pipeline.execute("UPDATE roadmap_tasks SET user_id = 'somebody-else'")
    assert {progress.total for progress in pipeline.status("somebody-else").progress.values()} == {0}


def test_the_cache_keeps_the_most_recently_used_roadmaps(
    pipeline: Pipeline, frameworks_read: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roadmaps, "MAX_CONCEPTS", 2 * len(IDS))
    tasks = [f"t-{number}" for number in range(3)]
    for task_id in tasks:
        roadmap_id = f"r-{task_id}"
        ids = concept_ids(len(IDS), roadmap_id)
        pipeline.load(bundle_of(ids, roadmap_id=roadmap_id, task_id=task_id))
    asked = []
    for pipeline.task_id in ("t-0", "t-1", "t-0", "t-2", "t-0", "t-1", "t-1"):
        before = len(frameworks_read)
        assert totals(pipeline) == {len(IDS)}
        asked.append(len(frameworks_read) - before)
    assert asked == [1, 1, 0, 1, 0, 1, 0]


@pytest.mark.slow
def test_the_status_of_the_largest_task_fits_into_a_response(pipeline: Pipeline) -> None:
    """A Lambda response is limited to 6 MB. The reasons have the maximum length."""
    ids = concept_ids(MOST_ITEMS // 2)
    pipeline.load(bundle_of(ids) | {"content": []})
    pipeline.finalize(pipeline.plan())
    pipeline.execute("UPDATE content_failures SET reason = :reason", reason="理" * MAX_REASON)
    status = pipeline.status()
    assert len(status.model_dump_json().encode()) < 6_000_000
    first = [item.concept_id for item in status.failed_items[: 2 * TYPES]]
    assert first == [ids[0]] * TYPES + [ids[1]] * TYPES
    assert {progress.missing for progress in status.progress.values()} == {len(ids)}
    assert set(status.progress) == set(ContentType)
    pipeline.execute("UPDATE content_failures SET reason = 'short'")
    assert len(pipeline.status().failed_items) == MOST_ITEMS < TYPES * len(ids)
