"""`python -m benchmarks.quota`: generation at the limit of a model's quota.

A server implements Converse with the latency of a model and with quotas of requests and tokens per minute.
All waits are in virtual time, which advances while every thread waits, so the result does not depend on the
speed of the machine.
"""

import argparse
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Any, NamedTuple, Self

import boto3
from botocore.config import Config

from roadmap_content.errors import ContentError
from roadmap_content.generation.allowance import Allowance
from roadmap_content.generation.bedrock import BedrockModel
from roadmap_content.generation.learner import ANYONE
from roadmap_content.generation.model import (
    Answer,
    ModelBusyError,
    ModelGenerator,
    ModelThrottledError,
    Rejected,
)
from roadmap_content.generation.pace import Pace, Turn
from roadmap_content.generation.prompting import Prompt
from roadmap_content.items import ContentType
from roadmap_content.roadmaps.framework import Concept, read_framework
from roadmap_content.runtime.deadline import Deadline
from roadmap_content.runtime.log import logger
from roadmap_content.storage.bucket import PARALLEL
from tests.support.converse_server import ConverseServer, Quota

from .curriculum import concept_ids
from .framework import framework_of
from .report import finish
from .result import Matrix, Result, Target, now, this_machine, versions

ROADMAPS = (1, 10)
ROUNDS = {1: 5, 10: 1}
"""Number of concurrent roadmaps → number of runs, of which the median is used."""

CONCEPTS, BATCH = 30, 30
REQUESTS, TOKENS, BURST = 200, 1_000_000, 5.0
"""Quotas per minute, and the number of seconds of quota that may be used at once."""

LATENCY, ROUND_TRIP = 15.0, 0.05
"""Seconds of an answer (varies by up to a third) and of a refusal."""

INVOCATION = 900.0
ADAPTIVE, FIXED = "adaptive", "fixed"

ABOUT = f"""
Generates the items of 1 and of 10 roadmaps with {CONCEPTS} concepts at the same time, in batches of {BATCH}
with {PARALLEL} threads each, as invocations do. The server implements Converse with the latency of a model
({LATENCY:.0f} s) and accepts {REQUESTS} requests and {TOKENS:,} tokens per minute (a token bucket of
{BURST:.0f} s: emulated, because Bedrock does not document its own). Time is virtual: it advances while
every thread waits, so the speed of this machine has no effect. *Fixed*: {PARALLEL} concurrent calls in each
invocation, eight attempts with increasing pauses, as before. *Ideal*: the same calls, each started as soon
as the quota allows it. *Lost*: items that their invocation did not generate. *Tokens wasted*: paid tokens
without an item.
"""


class VirtualTime:
    """A clock for threads. It stops while a thread is working, and jumps when all of them wait.

    When a server thread waits for a client, it counts instead of the client's thread.
    """

    def __init__(self, working: int) -> None:
        self._now = 0.0
        self._working = working
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


class _Fixed(Pace):
    """No pace: every call starts immediately."""

    def begin(self) -> Turn | float:
        """Start a call."""
        return Turn(0)


@dataclass(frozen=True)
class _Distant:
    """A model; each refusal takes a round trip."""

    model: BedrockModel
    clock: VirtualTime
    one_try: bool
    """Whether a throttled call counts as a try, like other errors."""

    @property
    def model_id(self) -> str:
        """The value of the wrapped model."""
        return self.model.model_id

    @property
    def socket_timeout(self) -> float:
        """The value of the wrapped model."""
        return self.model.socket_timeout

    @property
    def max_output(self) -> int:
        """The value of the wrapped model."""
        return self.model.max_output

    def ask(self, prompt: Prompt, rejected: Rejected | None) -> Answer:
        """Call the model."""
        try:
            return self.model.ask(prompt, rejected)
        except ModelThrottledError as error:
            self.clock.sleep(ROUND_TRIP)
            if self.one_try:
                raise ModelBusyError(str(error)) from error
            raise


class Run(NamedTuple):
    """The results of the items."""

    seconds: float
    ideal: float
    lost: int
    throttled: int
    wasted: int


def main() -> None:
    """Measure, show, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roadmaps", type=int, nargs="+", default=ROADMAPS)
    parser.add_argument(
        "--short", action="store_true", help="keep nothing; fail where a limit is missed by far"
    )
    arguments = parser.parse_args()
    logging.getLogger(logger.name or "").disabled = True
    tries = {
        (roadmaps, name): sorted(
            [_run(roadmaps, name) for _ in range(1 if arguments.short else ROUNDS.get(roadmaps, 1))],
            key=lambda run: run.seconds / run.ideal,
        )
        for roadmaps in arguments.roadmaps
        for name in (ADAPTIVE, FIXED)
    }
    runs = {key: found[len(found) // 2] for key, found in tries.items()}
    result = Result(
        name="quota",
        title="Generation at the edge of the quota",
        about=ABOUT.strip(),
        machine=this_machine(),
        versions=versions("boto3"),
        measured_at=now(),
        matrices=[
            Matrix(
                name="runs",
                title=f"{3 * CONCEPTS} items a roadmap",
                columns=["time, of the ideal", "the longest", "lost", "throttled calls", "tokens wasted"],
                rows={
                    f"{roadmaps} at once, {name}": [
                        f"{run.seconds / run.ideal:.2f}×",
                        f"{tries[roadmaps, name][-1].seconds / tries[roadmaps, name][-1].ideal:.2f}×",
                        str(run.lost),
                        str(run.throttled),
                        str(run.wasted),
                    ]
                    for (roadmaps, name), run in runs.items()
                },
            )
        ],
        targets=[
            target
            for (roadmaps, name), run in runs.items()
            if name == ADAPTIVE
            for target in (
                Target(
                    label=f"generation at the quota's edge, {roadmaps} roadmaps at once, against the ideal",
                    value=run.seconds / run.ideal,
                    limit=1.15,
                ),
                Target(
                    label=f"tokens wasted at the quota's edge, {roadmaps} roadmaps at once",
                    value=run.wasted,
                    limit=0,
                    unit="",
                ),
            )
        ],
    )
    finish(result, short=arguments.short)


def _run(roadmaps: int, name: str) -> Run:
    items = [
        (framework.concept(concept_id), content_type)
        for number in range(roadmaps)
        for ids in [concept_ids(f"roadmap-{number}", CONCEPTS)]
        for framework in [read_framework(framework_of(ids))]
        for concept_id in ids
        for content_type in ContentType
    ]
    batches = [items[start : start + BATCH] for start in range(0, len(items), BATCH)]
    threads_of = [min(PARALLEL, len(batch)) for batch in batches]
    clock = VirtualTime(working=sum(threads_of))
    quota = Quota(REQUESTS / 60, TOKENS / 60, LATENCY, BURST, clock.now, clock.sleep)
    lost: list[ContentError] = []
    with ConverseServer(quota) as server, _client(server) as client:

        def worker(generator: ModelGenerator, entries: Iterator[tuple[Concept, ContentType]]) -> None:
            deadline = _VirtualDeadline.of_invocation(clock)
            for entry in entries:
                try:
                    generator.generate(*entry, ANYONE, Allowance(deadline))
                except ContentError as error:
                    lost.append(error)
            clock.leave()

        threads = []
        for batch, number in zip(batches, threads_of, strict=True):
            model = _Distant(
                BedrockModel(client, "test.model-v1:0", 8_000, LATENCY * 4), clock, one_try=name == FIXED
            )
            pace = _Fixed() if name == FIXED else Pace(clock.now)
            generator = ModelGenerator(model, clock.sleep, pace)
            entries = iter(batch)  # `next` of a list's iterator is atomic
            threads += [threading.Thread(target=worker, args=[generator, entries]) for _ in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not server.faults, server.faults  # noqa: S101 - otherwise the requests were invalid
        paid = sum(usage["totalTokens"] for usage in server.usages)
        accepted = sum(server.accepted.values())
        wasted = paid * (len(server.usages) - accepted) // max(1, len(server.usages))
    return Run(clock.now(), quota.ideal(), len(lost), quota.throttled, wasted)


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


if __name__ == "__main__":
    main()
