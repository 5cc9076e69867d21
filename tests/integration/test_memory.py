"""Memory stays constant over 1,000 invocations of save and finalize, and unchanged rows are not written."""

import gc
import logging
import sys
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.contracts.payloads import BatchRequest
from roadmap_content.platform.runtime.log import logger
from roadmap_content.runs.steps import handler as handlers
from roadmap_content.runs.steps.finalize import FinalizeRequest, record_run_end
from roadmap_content.runs.steps.handler import Handler, step_handler
from roadmap_content.runs.steps.save import save_batch
from tests.support.factories import bundle_of, concept_ids
from tests.support.pipeline import Pipeline
from tests.support.requests_to_api import Context

WARM_UP, INVOCATIONS = 200, 1_000


@pytest.fixture
def handler_of(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Handler]:
    """Creates a step's handler with the test's services."""

    def make(*step: Any) -> Handler:
        monkeypatch.setattr(handlers, "Services", lambda **_: pipeline.services)
        # pytest keeps every logged line in memory.
        monkeypatch.setattr(logging.getLogger(logger.name), "disabled", True)
        return step_handler(*step)

    return make


def measure(handler: Handler, event: dict[str, Any], times: int) -> tuple[int, int]:
    """Memory blocks allocated by Python and resident bytes, after a number of invocations."""
    for _ in range(times):
        handler(event, Context())
    gc.collect()
    return sys.getallocatedblocks(), psutil.Process().memory_info().rss


def assert_constant_memory(handler: Handler, event: dict[str, Any]) -> None:
    blocks, size = measure(handler, event, WARM_UP)
    more_blocks, larger = measure(handler, event, INVOCATIONS)
    assert (more_blocks - blocks) / INVOCATIONS < 1
    assert larger / size <= 1.05


@pytest.mark.nightly
def test_memory_of_save_is_constant(pipeline: Pipeline, handler_of: Callable[..., Handler]) -> None:
    ids = concept_ids(4)
    pipeline.load(bundle_of(ids))
    pipeline.stage(Item(ids[0], ContentType.QUIZ), b'{"not": "a quiz"}')
    (request,) = pipeline.requests(pipeline.plan())
    handler = handler_of(BatchRequest, save_batch)
    event = request.model_dump(mode="json")
    answer = handler(event, Context())
    assert (answer["saved"], answer["failed"]) == (11, 1)
    assert_constant_memory(handler, event)


@pytest.mark.nightly
def test_memory_of_finalize_is_constant(pipeline: Pipeline, handler_of: Callable[..., Handler]) -> None:
    pipeline.load(bundle_of(concept_ids(4)))
    planned = pipeline.plan()
    event = {
        "input": {"task_id": pipeline.task_id},
        "execution": {"Id": pipeline.execution().arn},
        "plan": planned.plan.model_dump(mode="json"),
    }
    handler = handler_of(FinalizeRequest, record_run_end)
    assert handler(event, Context())["status"] == "failed"
    assert_constant_memory(handler, event)


def test_finalize_does_not_write_unchanged_rows(pipeline: Pipeline) -> None:
    """`xmin` and `ctid` change with every new row version."""

    def versions() -> list[dict[str, Any]]:
        return pipeline.rows(
            "SELECT CAST(xmin AS text), CAST(ctid AS text) FROM roadmap_metadata "
            "UNION ALL SELECT CAST(xmin AS text), CAST(ctid AS text) FROM roadmap_tasks"
        )

    pipeline.load(bundle_of(concept_ids(4)))
    planned = pipeline.plan()
    for request in pipeline.requests(planned):
        pipeline.save(request)
    before = versions()
    assert pipeline.finalize(planned).changed != []
    finalized = versions()
    assert finalized != before
    assert pipeline.finalize(planned).changed == []
    assert versions() == finalized
