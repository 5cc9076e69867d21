"""The product writes the same concepts at the same time: none of its operations fails, and I1–I8 hold."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import pytest

from roadmap_content.items import ContentType
from roadmap_content.reconciliation.reconcile import NotReconciledError
from roadmap_content.storage.keys import tutorial_key
from roadmap_content.tasks.scope import Scope
from tests.product.operations import OPERATIONS, perform
from tests.product.product import Product
from tests.product.running import heal, sweep
from tests.support.evidence import Log
from tests.support.factories import USER, framework_of
from tests.support.oracle import OracleOfOne
from tests.support.pipeline import S3, Pipeline

CONCEPTS = [f"r-1:c-{number}" for number in range(1, 9)]
WRITERS = 3
ROUNDS = 4
SEED = 12


class Writer(threading.Thread):
    """Performs operations of the product, each on a new connection, until it is stopped.

    Each writer has its own two concepts, because the product does not save one concept twice at the same
    time.
    """

    def __init__(self, product: Product, number: int, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._product, self._stop_told = product, stop
        self._random = random.Random(SEED + number)  # noqa: S311 - an order, not a secret
        self._concepts = CONCEPTS[2 * number : 2 * number + 2]
        self.performed: Counter[str] = Counter()
        self.failed: list[str] = []

    def run(self) -> None:
        while not self._stop_told.is_set() or len(self.performed) < len(OPERATIONS):
            for name in self._random.sample(list(OPERATIONS), len(OPERATIONS)):
                self._perform(name)

    def _perform(self, name: str) -> None:
        first, second = self._random.sample(self._concepts, 2)
        ids = {
            "roadmap_id": "r-1",
            "task_id": "t-theirs",
            "user_id": USER,
            "concept_id": first,
            "other_concept_id": second,
        }
        try:
            with self._product.engine.begin() as connection:
                perform(connection, name, ids)
        except Exception as error:  # noqa: BLE001 - every error is a finding
            self.failed.append(f"{name}: {error}"[:500])
        self.performed[name] += 1


@pytest.fixture
def writers(adopted: Product) -> Iterator[list[Writer]]:
    stop = threading.Event()
    found = [Writer(adopted, number, stop) for number in range(WRITERS)]
    for writer in found:
        writer.start()
    yield found
    stop.set()
    for writer in found:
        writer.join(600)


def stop(writers: list[Writer]) -> None:
    for writer in writers:
        writer._stop_told.set()  # noqa: SLF001 - one event for all
    for writer in writers:
        writer.join(600)
        assert not writer.is_alive()


@pytest.fixture
def the_task(adopted: Product) -> None:
    """Our task, a task of the product for the same roadmap, and another user's roadmap and task."""
    adopted.roadmap("r-1", CONCEPTS)
    adopted.complete("r-1", CONCEPTS[0])
    adopted.task("t-1", "failed", roadmap_id="r-1")
    adopted.task("t-theirs", "processing", roadmap_id="r-1", celery="celery-1")
    adopted.roadmap("r-2", ["r-2:c-1"])
    adopted.task("t-2", "partial_failure", roadmap_id="r-2")


def bystanders(product: Product) -> dict[str, list[str]]:
    return {
        table: [line for line in lines if '"r-2"' in line] for table, lines in product.everything().items()
    }


@pytest.mark.parametrize("form", ["create_all"], indirect=True)
@pytest.mark.usefixtures("the_task")
def test_the_product_works_on_the_same_concepts_at_the_same_time(
    pipeline: Pipeline, adopted: Product, request: pytest.FixtureRequest
) -> None:
    services = pipeline.services
    for concept_id in CONCEPTS[: 2 * WRITERS]:  # the product stores a text before its row
        services.bucket.put(tutorial_key("r-1", concept_id, 1), b"# Theirs\n\nA text.")
    before = bystanders(adopted)
    log = Log(injected=[f"seed {SEED}"], rewritten=set(CONCEPTS[: 2 * WRITERS]))
    bundle = {
        "task": {"task_id": "t-1"},
        "roadmap": {"roadmap_id": "r-1", "framework_data": framework_of(CONCEPTS)},
        "content": [],
    }
    oracle = OracleOfOne(services.engine, S3.client, services.settings.content_bucket, bundle, log)
    writers: list[Writer] = request.getfixturevalue("writers")

    for number in range(ROUNDS):
        # The product queues its own task of the roadmap all the time.
        heal(services, take_over=True)
        scope = Scope(CONCEPTS[number], list(ContentType)[number % 3], regenerate=True)
        heal(services, scope=scope, take_over=True)
        with suppress(NotReconciledError):  # the product holds the roadmap's lock: the next sweep handles it
            sweep(services)
        oracle.require(oracle._i5(oracle.look()))  # noqa: SLF001 - the records are compared when nothing is running
    stop(writers)

    assert [failure for writer in writers for failure in writer.failed] == []
    assert all(set(writer.performed) == set(OPERATIONS) for writer in writers)
    heal(services, take_over=True)
    sweep(services)
    oracle.require(oracle.at_any_time(), oracle.at_rest(), oracle.healed())
    assert bystanders(adopted) == before
    assert heal(services, take_over=True).total_items == 0
