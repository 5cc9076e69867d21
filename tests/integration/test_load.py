"""The simulation of `make load` on the real admission: every run ends once, and no capacity is left over."""

from benchmarks.load import FirstInFirstOut, Load, Nothing, Queue, Run, Simulation, makespan
from roadmap_content.state.tasks.work import QueueClass
from tests.support.pipeline import Pipeline


def runs(number: int) -> list[Run]:
    return [
        Run(index, f"u{index % 3}", 5.0 * index, queue_class=list(QueueClass)[index % 2])
        for index in range(number)
    ]


def test_each_run_starts_and_ends_once_and_the_queue_is_empty_afterwards(pipeline: Pipeline) -> None:
    simulated = runs(12)
    Simulation(Queue(pipeline.engine), simulated)
    assert all(run.arrives <= (run.started or 0) < (run.ended or 0) for run in simulated)
    assert pipeline.rows("SELECT state, count(*) AS n FROM content_queue GROUP BY state") == [
        {"state": "ended", "n": 12}
    ]
    assert makespan(simulated) >= 1


def test_without_a_queue_all_start_at_once_and_invocations_are_refused() -> None:
    simulated = runs(12)
    Simulation(Nothing(), simulated)
    assert all(run.started == run.arrives for run in simulated)
    queued = runs(12)
    Simulation(FirstInFirstOut(), queued)
    assert sum(run.throttled for run in simulated) > sum(run.throttled for run in queued)


def test_a_lost_release_is_found_by_the_sweep(pipeline: Pipeline) -> None:
    simulated = [Run(index, "u", 0, release_is_lost=True) for index in range(4)]
    Simulation(Queue(pipeline.engine), simulated)
    assert all(run.ended is not None for run in simulated)


def test_a_stream_has_the_load_that_it_is_built_for(pipeline: Pipeline) -> None:
    stream = Load(pipeline.engine, 1).stream(400, 0.5, seed=1)
    work = sum(run.seconds for run in stream)
    assert 0.4 < work / 10 / stream[-1].arrives < 0.6
