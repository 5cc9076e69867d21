"""`python -m benchmarks.quota`: generation at the edge of a model's quota.

A server speaks Converse with the latency of a model and with quotas of requests and tokens a minute. Its
minutes are short (`--minute`), and its latencies with them.
"""

import argparse
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

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
from tests.converse_server import ConverseServer, Quota

from .curriculum import concept_ids
from .framework import framework_of
from .report import show
from .result import Matrix, Result, Target, now, this_machine, versions

ROADMAPS = (1, 10)
CONCEPTS, BATCH = 30, 25
MINUTE = 6.0
"""Seconds that stand for a minute."""

REQUESTS, TOKENS = 200, 1_000_000
LATENCY = 15.0
"""Seconds of an answer, before they are shortened as the minute is; each answer's differs by a third."""

INVOCATION = 900.0
ADAPTIVE, FIXED = "adaptive", "fixed"

ABOUT = f"""
Items of 1 and of 10 roadmaps of {CONCEPTS} concepts at once, in batches of {BATCH} with {PARALLEL} threads
each, as invocations are, against a server that speaks Converse with the latency of a model ({LATENCY:.0f}
s) and admits {REQUESTS} requests and {TOKENS:,} tokens a minute (a token bucket: emulated, Bedrock does not
document its own). A minute lasts {MINUTE:.0f} s here, and latencies, pauses and the time of an invocation
are shortened alike. *Fixed*: {PARALLEL} calls in flight in each invocation, eight tries with growing
pauses, as before. *Ideal*: the time in which the quota admits so many requests, and the last answer.
*Lost*: items that their invocation did not make. *Tokens wasted*: paid for, without an item.
"""


class _Fixed(Pace):
    """No pace: every call begins at once."""

    def begin(self) -> Turn | float:
        """Begin a call."""
        return Turn(0)

    def end(self, turn: Turn, *, throttled: bool = False) -> None:
        """Learn nothing."""


class _OneTry(NamedTuple):
    """A model whose throttling is an error like any other, which uses up a try."""

    model: BedrockModel

    @property
    def socket_timeout(self) -> float:
        """Of the model."""
        return self.model.socket_timeout

    @property
    def max_output(self) -> int:
        """Of the model."""
        return self.model.max_output

    def ask(self, prompt: Prompt, rejected: Rejected | None) -> Answer:
        """Ask the model."""
        try:
            return self.model.ask(prompt, rejected)
        except ModelThrottledError as error:
            raise ModelBusyError(str(error)) from error


class Run(NamedTuple):
    """What came of the items."""

    seconds: float
    ideal: float
    lost: int
    throttled: int
    wasted: int


def main() -> None:
    """Measure, show, and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--roadmaps", type=int, nargs="+", default=ROADMAPS)
    parser.add_argument("--minute", type=float, default=MINUTE)
    parser.add_argument("--short", action="store_true", help="keep nothing")
    arguments = parser.parse_args()
    logging.getLogger(logger.name or "").disabled = True
    runs = {
        (roadmaps, name): _run(roadmaps, name, arguments.minute / 60)
        for roadmaps in arguments.roadmaps
        for name in (ADAPTIVE, FIXED)
    }
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
                columns=["time, of the ideal", "lost", "throttled calls", "tokens wasted"],
                rows={
                    f"{roadmaps} at once, {name}": [
                        f"{run.seconds / run.ideal:.2f}×",
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
                Target(label=f"time of {roadmaps} at once", value=run.seconds / run.ideal, limit=1.15),
                Target(label=f"tokens wasted, {roadmaps} at once", value=run.wasted, limit=0, unit=""),
            )
        ],
    )
    if not arguments.short:
        result.write()
    show(result)


def _run(roadmaps: int, name: str, scale: float) -> Run:
    items = [
        (framework.concept(concept_id), content_type)
        for number in range(roadmaps)
        for ids in [concept_ids(f"roadmap-{number}", CONCEPTS)]
        for framework in [read_framework(framework_of(ids))]
        for content_type in ContentType
        for concept_id in ids
    ]
    batches = [items[start : start + BATCH] for start in range(0, len(items), BATCH)]
    quota = Quota(REQUESTS / (60 * scale), TOKENS / (60 * scale), LATENCY * scale)
    lost: list[ContentError] = []

    def sleep(seconds: float) -> None:
        time.sleep(max(seconds * scale, 0.02))

    with ConverseServer(quota) as server, _client(server) as client:

        def invocation(batch: list[tuple[Concept, ContentType]]) -> None:
            model = BedrockModel(client, "test.model-v1:0", 8_000, LATENCY * 4 * scale)
            generator = (
                ModelGenerator(model, sleep, Pace(lambda: time.monotonic() / scale))
                if name == ADAPTIVE
                else ModelGenerator(_OneTry(model), sleep, _Fixed())
            )
            deadline = Deadline.after(INVOCATION * scale)

            def make(entry: tuple[Concept, ContentType]) -> None:
                try:
                    generator.generate(*entry, ANYONE, Allowance(deadline))
                except ContentError as error:
                    lost.append(error)

            with ThreadPoolExecutor(PARALLEL) as pool:
                list(pool.map(make, batch))

        started = time.monotonic()
        threads = [threading.Thread(target=invocation, args=[batch]) for batch in batches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - started
        assert not server.faults, server.faults  # noqa: S101 - or the server was asked wrongly
        paid = sum(usage["totalTokens"] for usage in server.usages)
        accepted = sum(server.accepted.values())
        wasted = paid * (len(server.usages) - accepted) // max(1, len(server.usages))
    return Run(seconds, quota.ideal(len(items), paid), len(lost), quota.throttled, wasted)


@contextmanager
def _client(server: ConverseServer) -> Iterator[Any]:
    settings: Mapping[str, str] = server.settings()
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=settings["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"],
        region_name="us-east-1",
        aws_access_key_id="benchmark",
        aws_secret_access_key="benchmark",  # noqa: S106 - of a server that asks for none
        config=Config(max_pool_connections=200, retries={"mode": "standard", "total_max_attempts": 1}),
    )
    yield client
    client.close()


if __name__ == "__main__":
    main()
