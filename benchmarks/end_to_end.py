"""`python -m benchmarks.end_to_end`: the throughput of the whole local stack, and its bottleneck."""

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

import psutil

from local_stack.postgres_server import PostgresServer
from local_stack.stack import LocalStack
from roadmap_command.load import load_bundle
from roadmap_command.runs import follow_run, start_run
from roadmap_command.target import Target as Deployed
from roadmap_content.bundle import read_bundle
from roadmap_content.items import ContentType
from roadmap_content.runtime.deadline import Deadline

from .curriculum import Author, concept_ids
from .framework import framework_of
from .measuring import seconds_of
from .report import show
from .result import Breakdown, Result, Series, now, this_machine, versions

SIZES = {24: 5, 240: 3, 2_400: 1}
"""Concepts → runs."""

ABOUT = """
One run of the real state machine, from StartExecution to its end, with the batch size and concurrency of the
template. The content of the roadmap is staged; the run plans, checks, saves and finalizes it. PostgreSQL uses
fsync. S3, Lambda and Step Functions are a local cloud in Python, and everything shares the cores of this
machine. *Where the processors were*: the processor time of the run by consumer. The rest was idle or used by
other processes. It shows the bottleneck of a run on this machine; on AWS, only the parts of the functions and
of PostgreSQL are paid for.
"""

CLOUD, FUNCTIONS, POSTGRES = "the local cloud (S3, Lambda, Step Functions)", "the functions", "PostgreSQL"


class Run(NamedTuple):
    """The duration of a run, and the processor time of each part."""

    seconds: float
    processor: dict[str, float]


def main() -> None:
    """Measure, print and store the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of concepts")
    parser.add_argument("--short", action="store_true", help="keep nothing")
    arguments = parser.parse_args()
    runs: dict[int, list[Run]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="roadmap-benchmark-") as folder,
        LocalStack.start(Path(folder)) as stack,
    ):
        deployed = Deployed.local(stack)
        author = Author()
        _run(stack, deployed, author, 24, "warm-up")
        for size in sorted(arguments.sizes):
            runs[size] = [
                _run(stack, deployed, author, size, f"{size}-{number}")
                for number in range(SIZES.get(size, 1))
            ]
        deployed.engine.dispose()
    result = _result(runs)
    if not arguments.short:
        result.write()
    show(result)


def _run(stack: LocalStack, deployed: Deployed, author: Author, size: int, name: str) -> Run:
    roadmap_id, task_id, user_id = f"roadmap-{name}", f"task-{name}", "user-1"
    ids = concept_ids(roadmap_id, size)
    roadmap = {
        "roadmap_id": roadmap_id,
        "user_id": user_id,
        "title": "A roadmap",
        "total_estimated_hours": 1.0,
        "recommended_completion_weeks": 1,
        "framework_data": framework_of(ids),
    }
    bundle = {
        "roadmap": roadmap,
        "task": {"task_id": task_id, "user_id": user_id, "roadmap_id": roadmap_id},
        "content": [author.entry(concept_id, number) for number, concept_id in enumerate(ids)],
    }
    load_bundle(read_bundle(bundle), deployed.engine, deployed.bucket, Deadline.after(300))
    before = _processor(stack)

    def run() -> None:
        execution_arn = start_run(deployed.stepfunctions, deployed.state_machine_arn, task_id)
        status = follow_run(deployed.stepfunctions, execution_arn, lambda: None)
        assert status == "SUCCEEDED", f"{execution_arn}: {status}"  # noqa: S101 - otherwise nothing is measured

    seconds = seconds_of(run)
    after = _processor(stack)
    return Run(seconds, {who: after[who] - before[who] for who in after})


def _processor(stack: LocalStack) -> dict[str, float]:
    """Seconds of processor time of each part so far."""
    assert stack.cloud.process is not None  # noqa: S101 - it is running
    taken = {
        CLOUD: _seconds(stack.cloud.process),
        FUNCTIONS: sum(_seconds(function) for function in _below(stack.cloud.process)),
    }
    if isinstance(stack.database, PostgresServer):
        server = psutil.Process(stack.database.pid)
        taken[POSTGRES] = sum(_seconds(process, ended=True) for process in [server, *_below(server)])
    return taken


def _below(process: psutil.Process) -> list[psutil.Process]:
    return process.children(recursive=True)


def _seconds(process: psutil.Process, *, ended: bool = False) -> float:
    """The processor time of a process; with `ended`, including its ended children."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    taken = times.user + times.system
    return float(taken + times.children_user + times.children_system if ended else taken)


def _result(runs: dict[int, list[Run]]) -> Result:
    items = {size: size * len(ContentType) for size in runs}
    series = [
        Series(
            name="time",
            title="One run, from StartExecution to its end",
            unit="s",
            size_name="concepts",
            base="whole machine",
            values={"whole machine": {size: [run.seconds for run in runs[size]] for size in runs}},
        ),
        Series(
            name="throughput",
            title="Items through the whole machine",
            unit="items/s",
            size_name="concepts",
            base="whole machine",
            values={
                "whole machine": {size: [items[size] / run.seconds for run in runs[size]] for size in runs}
            },
        ),
    ]
    breakdown = Breakdown(
        name="processors",
        title="Where the processors were",
        unit="s",
        bars={f"{size:,} concepts": runs[size][-1].processor for size in runs},
    )
    return Result(
        name="end-to-end",
        title="End to end",
        about=ABOUT.strip(),
        machine=this_machine(),
        versions=versions("boto3"),
        measured_at=now(),
        series=series,
        breakdowns=[breakdown],
    )


if __name__ == "__main__":
    main()
