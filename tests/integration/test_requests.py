"""The number of S3 requests of a batch, and their concurrency."""

from collections import Counter
from collections.abc import Mapping
from threading import Barrier
from typing import Any

import pytest

from roadmap_content.contracts.payloads import BatchRequest
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.platform.storage.bucket import PARALLEL, Bucket
from tests.support.factories import TYPES, bundle_of, concept_ids
from tests.support.memory_s3 import ObservedS3
from tests.support.pipeline import S3, SETTINGS, Pipeline

CONCEPTS = 2 * PARALLEL
ITEMS = TYPES * CONCEPTS


class CountingClient(ObservedS3):
    """Counts requests, and can hold them until a given number is in flight."""

    def __init__(self, client: Any) -> None:
        super().__init__(client, self._count)
        self.asked: Counter[str] = Counter()
        self.gate: Barrier | None = None

    def open_gate(self) -> None:
        self.gate = None

    def _count(self, name: str, arguments: Mapping[str, Any]) -> None:
        self.asked[name] += 1
        if self.gate is not None and name == "get_object" and "Range" not in arguments:
            self.gate.wait(timeout=600)


@pytest.fixture
def counted(pipeline: Pipeline) -> CountingClient:
    counting = CountingClient(S3.client)
    pipeline.services.bucket = Bucket(pipeline.bucket.name, counting.client)
    return counting


def batch_of(pipeline: Pipeline, counted: CountingClient) -> BatchRequest:
    """The batch of a roadmap with all items staged but a quiz. Earlier requests are not counted."""
    pipeline.services.settings = Settings(SETTINGS | {"BATCH_SIZE": str(CONCEPTS)})
    bundle = bundle_of(concept_ids(CONCEPTS))
    del bundle["content"][0]["quiz"]
    pipeline.load(bundle)
    (request,) = pipeline.requests(pipeline.plan())
    counted.asked.clear()
    return request


def test_staged_items_are_listed_with_one_request_per_content_type_and_read_once(
    pipeline: Pipeline, counted: CountingClient
) -> None:
    request = batch_of(pipeline, counted)
    report = pipeline.generate(request)
    assert report.staged == ITEMS - 1
    assert counted.asked == {"get_object": 1, "list_objects_v2": TYPES, "head_object": 1, "put_object": 1}

    counted.asked.clear()
    assert pipeline.save(request).saved == ITEMS
    assert counted.asked == {"get_object": 1 + ITEMS, "put_object": CONCEPTS}


def test_a_generated_item_is_looked_up_once_under_each_key(
    pipeline: Pipeline, counted: CountingClient
) -> None:
    """Under its staged key, and a tutorial's text under the key that the next version would have."""
    pipeline.services.settings = Settings(SETTINGS | {"BATCH_SIZE": str(CONCEPTS)})
    pipeline.load({**bundle_of(concept_ids(CONCEPTS)), "content": []})
    (request,) = pipeline.requests(pipeline.plan())
    counted.asked.clear()
    report = pipeline.generate(request)
    assert report.generated == request.batch.total == ITEMS
    assert counted.asked == {
        "get_object": 1 + CONCEPTS,
        "list_objects_v2": TYPES,
        "head_object": ITEMS,
        "put_object": ITEMS,
    }


def test_staged_items_are_read_concurrently(pipeline: Pipeline, counted: CountingClient) -> None:
    request = batch_of(pipeline, counted)
    gate = counted.gate = Barrier(PARALLEL, action=counted.open_gate)
    assert pipeline.save(request).saved == ITEMS - 1
    assert not gate.broken
    assert counted.gate is None, "so many requests were in flight at once"
