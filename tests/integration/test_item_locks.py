"""Item locks: concurrent invocations generate an item only once."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from roadmap_content.content.generation import item_locks
from roadmap_content.content.generation.generator import Allowance, GenerationRequest
from roadmap_content.content.generation.item_locks import ItemLockedError, ItemLocks
from roadmap_content.content.generation.offline import OfflineGenerator
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.contracts.payloads import BatchRequest
from roadmap_content.platform.postgres.transactions import TIME_FOR_ANOTHER
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.runs.steps.generate import GenerateReport
from tests.support.factories import TYPES, bundle_of, concept_ids
from tests.support.pipeline import Pipeline, services_for

ITEM, ANOTHER = Item("c-1", ContentType.QUIZ), Item("c-2", ContentType.QUIZ)


@pytest.fixture
def other(pipeline: Pipeline, database_url: str) -> Iterator[Pipeline]:
    """A second session, as another process would have."""
    services = services_for(database_url)
    yield Pipeline(services)
    services.engine.dispose()


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_locks, "RETRY_SECONDS", 0.02)


def locks(pipeline: Pipeline, seconds: float = 30) -> ItemLocks:
    return ItemLocks(pipeline.engine, "r-1", Deadline.after(seconds))


def is_held(pipeline: Pipeline, item: Item) -> bool:
    """Whether another session holds the lock. The deadline leaves no time to wait for it."""
    try:
        with locks(pipeline, TIME_FOR_ANOTHER).held(item):
            return False
    except ItemLockedError:
        return True


def test_a_lock_excludes_other_sessions_for_one_item_only(pipeline: Pipeline, other: Pipeline) -> None:
    with locks(pipeline).held(ITEM):
        assert is_held(other, ITEM)
        assert not is_held(other, ANOTHER)
        assert not is_held(other, Item(ITEM.concept_id, ContentType.TUTORIAL))
    assert not is_held(other, ITEM)


def test_a_lock_is_released_after_a_failure(pipeline: Pipeline, other: Pipeline) -> None:
    with pytest.raises(ZeroDivisionError), locks(pipeline).held(ITEM):
        raise ZeroDivisionError
    assert not is_held(other, ITEM)


def test_a_lock_is_released_when_its_session_ends(pipeline: Pipeline, other: Pipeline) -> None:
    with locks(pipeline).held(ITEM):
        with pipeline.engine.connect() as connection:
            backend = connection.scalar(text("SELECT pg_backend_pid()"))
        other.execute("SELECT pg_terminate_backend(:backend, 5000)", backend=backend)
        assert not is_held(other, ITEM)


class Slow(OfflineGenerator):
    """A generator that starts its first item only after the other invocation has found the item unstaged.

    It also starts if an item is generated twice, because then no invocation waits.
    """

    def __init__(self) -> None:
        self.made: list[str] = []
        self.may_go_on = threading.Event()

    def generate(self, request: GenerationRequest, allowance: Allowance | None = None) -> Document:
        self.made.append(request.concept.concept_id)
        if len(set(self.made)) < len(self.made):
            self.may_go_on.set()
        assert self.may_go_on.wait(600)
        return super().generate(request, allowance)


def request_for_quizzes(pipeline: Pipeline, ids: list[str]) -> BatchRequest:
    """The batch of a roadmap without quizzes."""
    bundle = bundle_of(ids)
    for content in bundle["content"]:
        del content["quiz"]
    pipeline.load(bundle)
    (request,) = pipeline.requests(pipeline.plan())
    return request


def generate(pipeline: Pipeline, request: BatchRequest, generator: Slow) -> GenerateReport:
    pipeline.services.generator = generator
    return pipeline.generate(request)


def test_two_invocations_of_a_batch_generate_each_item_once(
    pipeline: Pipeline, other: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = concept_ids(10)
    request = request_for_quizzes(pipeline, ids)
    generator = Slow()

    def waits(_seconds: float) -> None:
        generator.may_go_on.set()
        threading.Event().wait(0.02)

    monkeypatch.setattr(time, "sleep", waits)
    with ThreadPoolExecutor(2) as pool:
        reports = [
            future.result()
            for future in [pool.submit(generate, each, request, generator) for each in (pipeline, other)]
        ]

    assert sorted(generator.made) == sorted(ids)
    assert sum(report.generated for report in reports) == len(ids)
    assert sum(report.staged for report in reports) == (2 * TYPES - 1) * len(ids)
    assert sum(report.failed for report in reports) == 0


@pytest.mark.slow
def test_an_item_locked_until_the_deadline_fails_as_transient(pipeline: Pipeline, other: Pipeline) -> None:
    ids = concept_ids(2)
    request = request_for_quizzes(pipeline, ids)
    generator = Slow()
    generator.may_go_on.set()
    pipeline.services.generator = generator
    with locks(other).held(Item(ids[0], ContentType.QUIZ)):
        report = pipeline.generate(request, TIME_FOR_ANOTHER + 1)

    assert generator.made == ids[1:]
    assert (report.generated, report.failed) == (1, 1)
    assert pipeline.rows("SELECT concept_id, error_code, transient FROM content_failures") == [
        {"concept_id": ids[0], "error_code": "ItemLocked", "transient": True}
    ]
