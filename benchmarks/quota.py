"""Generation at the limit of a model's quota: scenarios of `make load`.

The calls, the pace and the shared bucket are the product's own, the bucket on PostgreSQL. A server implements
Converse with the latency of a model and counts its quota as Bedrock does. All waits are in virtual time,
which advances while every thread waits, so the result does not depend on the speed of the machine.
"""

import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import count, product
from operator import length_hint
from statistics import mean
from typing import Any, NamedTuple, Self

import boto3
from botocore.config import Config
from sqlalchemy import Engine, text

from local_stack.builds import REPOSITORY
from local_stack.template_file import default_of, read_template
from roadmap_content.content.generation.bedrock import BedrockModel
from roadmap_content.content.generation.generator import Allowance, GenerationRequest
from roadmap_content.content.generation.model import (
    Answer,
    ModelGenerator,
    ModelThrottledError,
    Pace,
    Rejected,
)
from roadmap_content.content.generation.prompting import Prompt, PromptedModel
from roadmap_content.content.generation.quota import ModelQuota
from roadmap_content.content.manifest import generation_order, planned_batch_size
from roadmap_content.content.roadmaps.framework import Concept, read_framework
from roadmap_content.contracts.errors import ContentError
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.settings import Settings
from roadmap_content.platform.storage.bucket import PARALLEL
from tests.support.converse_server import Call, ConverseServer, Quota
from tests.support.factories import bundle_of
from tests.support.quota_clock import quota_clock

from .curriculum import concept_ids
from .report import Limit

CONCEPTS = 30
SLOTS = 10
LATENCY, ROUND_TRIP = 15.0, 0.05
"""Seconds of an answer (varies by up to a third) and of a refusal."""

INVOCATION = 900.0
ROADMAPS_OF_A_PERSON, SLOTS_OF_A_PERSON = 3, 3
"""One person's roadmaps, one after another, and the batches of one at a time."""

OTHERS, PEOPLE_QUOTA = 30, 400_000
"""The roadmaps beside a person's, on the other slots, and the tokens per minute of all."""

BURST = 20.0
"""The seconds of the quota that the server lets calls use at once, a third of a minute."""

REQUESTS_PER_SECOND = 1_000.0
"""Not the bottleneck."""

OUTPUT: Mapping[ContentType, int] = {
    ContentType.TUTORIAL: 2_500,
    ContentType.RESOURCES: 900,
    ContentType.QUIZ: 1_350,
}
"""The tokens of an answer, in the middle of the estimates in docs/generation.md. They vary by up to 40 %."""

_TEMPLATE = read_template(REPOSITORY / "template.yaml")
BATCH_SIZE: int = default_of(_TEMPLATE, "BatchSize")
MAX_CONCURRENCY: int = default_of(_TEMPLATE, "MaxConcurrency")
MAX_OUTPUT: int = default_of(_TEMPLATE, "ModelMaxOutputTokens")
MODEL_ID = "test.model-v1:0"

RESET = text("DELETE FROM content_model_leases")
CONFIGURE = text("""
UPDATE content_model_quota SET tokens_per_minute = :tokens, supplied = 0, promised = 0, refilled_at = 'epoch'
""")


class VirtualTime:
    """A clock for threads. It stops while a thread is working, and jumps when all of them wait.

    When a server thread waits for a client, it counts instead of the client's thread.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._working = 0
        self._lock = threading.Lock()
        self._number = count()
        self._waiting: list[tuple[float, int, threading.Event]] = []

    def now(self) -> float:
        """Seconds since the beginning."""
        return self._now

    def sleep(self, seconds: float) -> None:
        """Wait."""
        event = threading.Event()
        with self._lock:
            heappush(self._waiting, (self._now + seconds, next(self._number), event))
            self._stop_working()
        event.wait()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Stop the clock until all slots have their first batch."""
        self.enter(1)
        yield
        self.leave()

    def enter(self, threads: int) -> None:
        """Add threads that start now."""
        with self._lock:
            self._working += threads

    def leave(self) -> None:
        """Remove the calling thread from the clock."""
        with self._lock:
            self._stop_working()

    def _stop_working(self) -> None:
        self._working -= 1
        if not self._working and self._waiting:
            self._now, _, event = heappop(self._waiting)
            self._working = 1
            event.set()


class _VirtualDeadline(Deadline):
    """A deadline in virtual time."""

    clock: VirtualTime

    @classmethod
    def of_invocation(cls, clock: VirtualTime) -> Self:
        """The end of an invocation that starts now."""
        deadline = cls(clock.now() + INVOCATION)
        deadline.clock = clock
        return deadline

    @property
    def remaining(self) -> float:
        """Seconds left."""
        return self.at - self.clock.now()


class _Distant(PromptedModel):
    """A model; each refusal takes a round trip."""

    def __init__(self, model: BedrockModel, clock: VirtualTime) -> None:
        self.model, self.clock = model, clock
        self.max_output, self.socket_timeout = model.max_output, model.socket_timeout

    def ask(self, prompt: Prompt, rejected: Rejected | None) -> Answer:
        """Call the model."""
        try:
            return self.model.ask(prompt, rejected)
        except ModelThrottledError:
            self.clock.sleep(ROUND_TRIP)
            raise


class Run(NamedTuple):
    """The results of a scenario."""

    used: float
    """The part of the quota that was used, until the last call started."""

    throttled: float
    """The part of the calls that was refused."""

    wasted: int
    """Tokens of answers that were not accepted."""

    lost: list[str]
    """The errors of the items that were not generated."""


class _Model(NamedTuple):
    """A model with a quota, in virtual time."""

    engine: Engine
    clock: VirtualTime
    quota: Quota
    server: ConverseServer
    client: Any

    def slots(self) -> "_Slots":
        """Slots with calls that wait for the shared bucket."""
        settings = Settings(self.server.settings(MODEL_ID=MODEL_ID))
        return _Slots(
            self.engine, settings, BedrockModel(self.client, MODEL_ID, MAX_OUTPUT, LATENCY * 4), self.clock
        )


@contextmanager
def _model(engine: Engine, tokens_per_minute: int) -> Iterator[_Model]:
    clock = VirtualTime()
    chance = random.Random(27)  # noqa: S311 - a simulation

    def output(call: Call) -> int:
        return int(OUTPUT[call.content_type] * chance.uniform(0.6, 1.4))

    quota = Quota(
        REQUESTS_PER_SECOND,
        tokens_per_minute / 60,
        LATENCY,
        BURST,
        clock.now,
        clock.sleep,
        output=output,
    )
    with engine.begin() as connection:
        connection.execute(RESET)
        connection.execute(CONFIGURE, {"tokens": tokens_per_minute})
    with (
        ConverseServer(quota) as server,
        _client(server) as client,
        quota_clock(engine, clock.now),
    ):
        yield _Model(engine, clock, quota, server, client)
        assert not server.faults, server.faults  # noqa: S101 - otherwise the requests were invalid


def measure(engine: Engine, roadmaps: int, tokens_per_minute: int) -> Run:
    """Generate roadmaps in batches, as many at the same time as there are slots, and as a run may have."""
    with _model(engine, tokens_per_minute) as model:
        slots = model.slots()
        batches = [batch for number in range(roadmaps) for batch in _batches(number)]
        with model.clock.paused():
            slots.begin(batches, min(SLOTS, MAX_CONCURRENCY * roadmaps))
        slots.wait()
        paid = sum(usage["totalTokens"] for usage in model.server.usages)
        accepted = sum(model.server.accepted.values())
        wasted = paid * (len(model.server.usages) - accepted) // max(1, len(model.server.usages))
        quota = model.quota
    calls = quota.admitted + quota.throttled
    return Run(quota.used, quota.throttled / calls, wasted, slots.lost)


def seconds_of_a_person(engine: Engine, others: int, tokens_per_minute: int) -> list[float]:
    """The seconds of each of one person's roadmaps, one after another, beside the roadmaps of others."""
    seconds = []
    with _model(engine, tokens_per_minute) as model:
        bulk = model.slots()
        begun = False
        for number in range(ROADMAPS_OF_A_PERSON):
            person, began = model.slots(), model.clock.now()
            with model.clock.paused():
                if not begun:
                    batches = [batch for each in range(others) for batch in _batches(100 + each)]
                    bulk.begin(batches, SLOTS - SLOTS_OF_A_PERSON)
                    begun = True
                person.begin(_batches(number), SLOTS_OF_A_PERSON)
            person.wait()
            seconds.append(person.ended_at - began)
            assert not others or bulk.has_more, "others are at work until the end"  # noqa: S101 - a valid measurement
        bulk.stop()
        bulk.wait()
    return seconds


def person_beside_others(engine: Engine) -> Limit:
    """How much longer the slowest of a person's roadmaps takes beside others. Without leases, each call races
    for the tokens that are due, and the person waits for as long as luck has it: about 3.4 to 4.2 times.
    """
    alone = mean(seconds_of_a_person(engine, 0, PEOPLE_QUOTA))
    slowest = max(seconds_of_a_person(engine, OTHERS, PEOPLE_QUOTA))
    return Limit("a person's roadmap beside 30 others, by the model's quota: of alone", slowest / alone, 2.6)


def _batches(roadmap: int) -> list[list[tuple[Concept, ContentType]]]:
    """The items of a roadmap, in the batches that Plan makes."""
    ids = concept_ids(f"roadmap-{roadmap}", CONCEPTS)
    framework = read_framework(bundle_of(ids)["roadmap"]["framework_data"])
    size = planned_batch_size(CONCEPTS, 0, BATCH_SIZE)
    return [
        [
            (framework.concept(item.concept_id), item.content_type)
            for item in generation_order(
                [Item(*item) for item in product(ids[start : start + size], ContentType)]
            )
        ]
        for start in range(0, CONCEPTS, size)
    ]


class _Slots:
    """Slots that take one batch after another, each in an invocation with the product's threads."""

    def __init__(self, engine: Engine, settings: Settings, model: BedrockModel, clock: VirtualTime) -> None:
        self._engine, self._settings, self._model, self._clock = engine, settings, model, clock
        self._batches: Iterator[Sequence[tuple[Concept, ContentType]]] = iter(())
        self._done = threading.Semaphore(0)
        self._slots = 0
        self.ended_at = 0.0
        self.lost: list[str] = []

    def begin(self, batches: Sequence[Sequence[tuple[Concept, ContentType]]], slots: int) -> None:
        """Generate batches, on so many slots."""
        self._batches = iter(batches)  # `next` of a list's iterator is atomic
        self._slots = min(slots, len(batches))
        for _ in range(self._slots):
            self._next_batch()

    def stop(self) -> None:
        """Begin no further batch."""
        self._batches = iter(())

    def wait(self) -> None:
        """Wait for the end of the last batch."""
        for _ in range(self._slots):
            self._done.acquire()

    @property
    def has_more(self) -> bool:
        """Whether a batch has not begun."""
        return length_hint(self._batches) > 0

    def _next_batch(self) -> None:
        batch = next(self._batches, None)
        if batch is None:
            self.ended_at = self._clock.now()
            self._done.release()
            return
        threads = min(PARALLEL, len(batch))
        deadline = _VirtualDeadline.of_invocation(self._clock)
        generator = ModelGenerator(
            _Distant(self._model, self._clock), self._clock.sleep, Pace(self._clock.now)
        )
        quota = ModelQuota(self._engine, self._settings, deadline, self._clock.now)
        items, ends = iter(batch), count(1)

        def worker() -> None:
            for item in items:
                try:
                    generator.generate(GenerationRequest(*item), Allowance(deadline, quota=quota))
                except ContentError as error:
                    self.lost.append(f"{error.code}: {error}")
            if next(ends) == threads:
                quota.close()
                self._next_batch()
            self._clock.leave()

        self._clock.enter(threads)
        for _ in range(threads):
            threading.Thread(target=worker).start()


@contextmanager
def _client(server: ConverseServer) -> Iterator[Any]:
    settings: Mapping[str, str] = server.settings()
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=settings["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"],
        region_name="us-east-1",
        aws_access_key_id="benchmark",
        aws_secret_access_key="benchmark",  # noqa: S106 - the server does not check it
        config=Config(max_pool_connections=200, retries={"mode": "standard", "total_max_attempts": 1}),
    )
    yield client
    client.close()
