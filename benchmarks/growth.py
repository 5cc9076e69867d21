"""`python -m benchmarks.growth`: how the time of each step grows with the number of concepts, 30 to 100,000.

A roadmap of each size is planned, generated (offline), saved, finalized and looked at, in this process.
"""

import argparse
import gc
import logging
from collections.abc import Callable, Sequence

from roadmap_content.api.item_map import DEFAULT_CONCEPTS
from roadmap_content.api.task_items import read_item_map
from roadmap_content.contracts import BatchRequest, Execution, RunInput
from roadmap_content.generation.generator import generator_named
from roadmap_content.runtime.deadline import Deadline
from roadmap_content.runtime.log import logger
from roadmap_content.services import Services
from roadmap_content.steps.generate import generate_content
from roadmap_content.steps.plan import PlanRequest, PlanResult, plan_batches
from roadmap_content.steps.save import save_batch

from .database import Database, own_database
from .measuring import seconds_of
from .projections import TASK, USER, Ground, ground_of
from .report import finish
from .result import Result, Series, Target, now, this_machine, versions
from .stock import MemoryBucket

SIZES = (30, 300, 3_000, 30_000, 100_000)
ROUNDS = 3
SMALL = 3_000
"""The largest size for which a run is repeated. Larger ones take minutes."""

SAMPLE = 30
"""The maximum number of batches that are generated and saved, spread over the plan; their time is scaled."""

MAX_EXPONENT = 1.1
ARN = "arn:aws:states:us-east-1:123456789012:execution:benchmark:r1"

ABOUT = """
Each step runs in this process, against an embedded PostgreSQL. S3 is a dictionary. *Generate* uses the
offline generator. Generate and Save run the batches of the plan one after the other; of a plan with more
than 30 batches, about 30 are run, spread over the plan and the content types, and the time is scaled by the
number of items. *Finalize*: all rows exist, and nothing is projected. *Status* and *items page* (the first
page of the item map) are the first requests after that. The exponent is that of the time as a power of the
number of concepts, between the second smallest and the largest size: 1 means in proportion. It does not
depend on the speed of the machine.
"""


class _Bucket(MemoryBucket):
    """A bucket with empty listings, so that each item is looked up separately."""

    def keys(self, prefix: str, after: str) -> list[str]:  # noqa: ARG002 - as Bucket's
        """List nothing."""
        return []

    def holds(self, key: str) -> bool:
        """Whether an object exists."""
        return key in self._objects


def main() -> None:
    """Measure, print and store the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="numbers of concepts")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument(
        "--short", action="store_true", help="keep nothing; fail where a limit is missed by far"
    )
    arguments = parser.parse_args()
    logging.getLogger(logger.name or "roadmap-content").disabled = True
    values: dict[str, dict[int, list[float]]] = {}
    with own_database() as database:
        _run(database, 30)
        for size in sorted(arguments.sizes):
            for _ in range(arguments.rounds if size <= SMALL else 1):
                for step, seconds in _run(database, size).items():
                    values.setdefault(step, {}).setdefault(size, []).append(seconds)
        version = database.version()
    series = Series(
        name="time",
        title="The steps of one run, by the number of concepts",
        unit="s",
        size_name="concepts",
        base="plan",
        values=values,
    )
    result = Result(
        name="growth",
        title="Growth",
        about=ABOUT.strip(),
        machine=this_machine(),
        versions=versions("SQLAlchemy", "pg8000") | {"PostgreSQL": version},
        measured_at=now(),
        series=[series],
        targets=_targets(series, sorted(arguments.sizes)),
    )
    finish(result, short=arguments.short)


def _targets(series: Series, sizes: Sequence[int]) -> list[Target]:
    smaller, largest = sizes[min(1, len(sizes) - 2)], sizes[-1]
    return [
        Target(
            label=f"{step}: exponent of growth, {smaller:,} to {largest:,} concepts",
            value=series.exponent(step, smaller, largest),
            limit=MAX_EXPONENT,
            unit="",
        )
        for step in series.values
    ]


def _run(database: Database, size: int) -> dict[str, float]:
    """The seconds of each step for a new roadmap."""
    ground = ground_of(database.url, size)
    services = ground.services
    services.bucket = _Bucket()
    services.generator = generator_named("offline")
    deadline = Deadline.after(3_600)

    def reset(*, saved: bool) -> None:
        ground.reset(saved=saved)
        database.administer(["ANALYZE", "CHECKPOINT"])
        gc.collect()

    reset(saved=False)
    planned: list[PlanResult] = []
    request = PlanRequest(input=RunInput(task_id=TASK), execution=Execution(arn=ARN))
    seconds = {"plan": seconds_of(lambda: planned.append(plan_batches(request, services, deadline)))}
    batches = planned[0].batches
    step = max(1, len(batches) // SAMPLE)
    # Not a multiple of three: the batches of the content types take turns, and all of them are measured.
    sample = batches[:: step + (step % 3 == 0)]
    share = sum(batch.items for batch in batches) / sum(batch.items for batch in sample)

    def over_batches(step: Callable[[BatchRequest, Services, Deadline], object]) -> float:
        requests = [BatchRequest(plan=planned[0].plan, batch=batch, execution_arn=ARN) for batch in sample]
        return share * seconds_of(lambda: [step(request, services, deadline) for request in requests])

    seconds["generate"] = over_batches(generate_content)
    seconds["save"] = over_batches(save_batch)
    reset(saved=True)
    ground.claim()
    for name, work in (
        ("finalize", ground.finalize),
        ("status", ground.status),
        ("items page", lambda: _items_page(ground)),
    ):
        gc.collect()
        seconds[name] = seconds_of(work)
    ground.engine.dispose()
    return seconds


def _items_page(ground: Ground) -> str:
    deadline = Deadline.after(60)
    page = read_item_map(ground.services, TASK, USER, None, DEFAULT_CONCEPTS, deadline, with_stages=True)
    return page.model_dump_json()


if __name__ == "__main__":
    main()
