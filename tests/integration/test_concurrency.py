"""Concurrent Save, Finalize and claims: real threads, each with its own connection."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.storage.staging import Staging
from roadmap_content.runs.steps.save import save_batch
from tests.support.factories import bundle_of, concept_ids, tutorial
from tests.support.pipeline import S3, SETTINGS, Pipeline, services_for

IDS = concept_ids(40)


def at_once(count: int, work: Callable[[int], object]) -> list[object]:
    """Call `work(0)`, …, `work(count - 1)` concurrently."""
    ready = threading.Barrier(count, timeout=600)

    def start(number: int) -> object:
        ready.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(count)))


def test_concurrent_saves_of_versions_leave_the_highest_as_the_only_latest(
    pipeline: Pipeline, database_url: str
) -> None:
    pipeline.load(bundle_of(IDS))
    planned = pipeline.plan()
    requests = pipeline.requests(planned)
    manifest = pipeline.bucket.get(planned.plan.manifest)
    assert manifest is not None

    def save(number: int) -> int:
        # A separate bucket for each Save, so that each finds its own staged version.
        bucket = f"version-{number + 1}"
        S3.client.create_bucket(Bucket=bucket)
        services = services_for(database_url, SETTINGS | {"CONTENT_BUCKET": bucket})
        services.bucket.put(planned.plan.manifest, manifest.body)
        staging = Staging(services.bucket, "r-1")
        for concept_id in IDS:
            content = tutorial(concept_id, version=number + 1)
            staging.write(Item(concept_id, ContentType.TUTORIAL), content)
        saved = sum(save_batch(request, services, Deadline.after(600)).saved for request in requests)
        services.engine.dispose()
        return saved

    assert at_once(6, save) == [40] * 6
    latest = pipeline.rows("SELECT concept_id, content_version FROM tutorial_metadata WHERE is_latest")
    assert sorted(row["concept_id"] for row in latest) == sorted(IDS)
    assert {row["content_version"] for row in latest} == {6}


def test_an_id_that_two_roadmaps_use_is_saved_for_one_of_them(pipeline: Pipeline, database_url: str) -> None:
    pipelines = []
    for number in range(2):
        each = Pipeline(services_for(database_url), f"t-{number}")
        each.load(bundle_of([f"c-{number}"], roadmap_id=f"r-{number}", task_id=f"t-{number}"))
        content = tutorial(f"c-{number}", tutorial_id="wanted by both")
        each.stage(Item(f"c-{number}", ContentType.TUTORIAL), json.dumps(content).encode())
        pipelines.append(each)

    at_once(2, lambda number: pipelines[number].run())
    (owner,) = pipeline.rows("SELECT concept_id FROM tutorial_metadata WHERE tutorial_id = 'wanted by both'")
    statuses = {each.task()["status"] for each in pipelines}
    assert statuses == {"completed", "partial_failure"}

    assert all(each.run().complete for each in pipelines)
    (still,) = pipeline.rows("SELECT concept_id FROM tutorial_metadata WHERE tutorial_id = 'wanted by both'")
    assert still == owner
    for each in pipelines:
        each.engine.dispose()
