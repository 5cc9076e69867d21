"""The simulation of `make load` on the real admission: every run ends once, and no capacity is left over."""

from benchmarks.load import Admission, Load, Queue, Run, Simulation, makespan
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


def test_without_a_queue_all_start_at_once_and_invocations_are_refused(pipeline: Pipeline) -> None:
    simulated = runs(12)
    Simulation(Admission(), simulated)
    assert all(run.started == run.arrives for run in simulated)
    queued = runs(12)
    Simulation(Queue(pipeline.engine), queued)
    assert sum(run.throttled for run in simulated) > sum(run.throttled for run in queued)


def test_a_stream_has_the_load_that_it_is_built_for(pipeline: Pipeline) -> None:
    stream = Load(pipeline.engine, 1).stream(400, 0.5, seed=1)
    work = sum(run.seconds for run in stream)
    assert 0.4 < work / 10 / stream[-1].arrives < 0.6
