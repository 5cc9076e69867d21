"""Concurrent runs: real threads, each with its own connection."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from roadmap_content.contracts.items import ContentType, Item
from tests.support.factories import bundle_of, tutorial
from tests.support.pipeline import Pipeline, services_for


def at_once(count: int, work: Callable[[int], object]) -> list[object]:
    """Call `work(0)`, …, `work(count - 1)` concurrently."""
    ready = threading.Barrier(count, timeout=600)

    def start(number: int) -> object:
        ready.wait()
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(count)))


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
