"""The time axis of an attempt: decisions without I/O, on runs of known times, cut at any moment."""

from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from roadmap_content.platform.aws.executions import event_from
from roadmap_content.platform.timeline.axis import Audit, Axis, BatchOutcome, Phase, PhaseKind, axis_of
from roadmap_content.platform.timeline.visits import History, history_of
from tests.support.timed_run import THROTTLE, Event, TimedRun, moment

STOPPED = "GenerationStoppedError"


def history(run: TimedRun, until: float = 1e9) -> History:
    events: list[Any] = run.history()
    return history_of(event_from(event) for event in events if event["timestamp"] <= moment(until))


def audit(claimed_at: float = 0, ended_at: float | None = None, *, is_recorded: bool = False) -> Audit:
    ended = None if ended_at is None else moment(ended_at)
    return Audit(moment(claimed_at), None, False, ended, is_recorded, ())


def require_whole(parts: Sequence[Phase], start: datetime, end: datetime | None) -> None:
    assert (parts[0].started_at, parts[-1].ended_at) == (start, end)
    assert all(one.ended_at == following.started_at for one, following in pairwise(parts))


def throttles(run: TimedRun, until: float) -> int:
    errors = [
        event.details.get("taskFailedEventDetails", {}).get("error")
        for event in run.events
        if moment(event.at) <= moment(until)
    ]
    return errors.count(THROTTLE)


@pytest.mark.parametrize("seed", range(100))
def test_a_run_that_is_cut_at_any_moment_has_an_axis_without_gaps(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - data, not secrets
    run = TimedRun()
    planned = run.task(random.uniform(0, 2), "Plan", random.uniform(0.1, 3))
    batches = range(random.randint(0, 30))
    lengths = {batch: random.uniform(0.01, 20) for batch in batches}
    throttled = {batch: random.randint(0, 5) for batch in batches if random.random() < 0.3}
    lost = random.choice([None, *batches])
    fanned = run.fan_out(planned, lengths, random.randint(1, 10), throttled, lost)
    finalized = run.task(fanned, "Finalize", random.uniform(0.1, 2))
    until = random.uniform(0.01, finalized + 1)
    ended = until if until > fanned and random.random() < 0.5 else None

    axis = axis_of(audit(0, ended), history(run, until), moment(until))
    end = None if ended is None else moment(ended)
    require_whole(axis.phases, moment(0), end)
    require_whole(axis.longest_path, moment(0), end)
    for batch in axis.batches:
        assert batch.started_at is not None
        require_whole(batch.phases, batch.started_at, batch.phases[-1].ended_at)
    assert axis.throttled == throttles(run, until)
    on_path = [part.batch for part in axis.longest_path if part.batch is not None]
    if until >= fanned and batches:
        assert len(axis.batches) == len(batches)
        ends = {batch.batch: batch.ended_at for batch in axis.batches if batch.ended_at}
        assert ends[on_path[-1]] == max(ends.values())


def call(
    run: TimedRun, at: float, seconds: float, previous: Event, error: str, wait: float
) -> tuple[float, Event]:
    """A failed call and the wait after it."""
    end, event = run.call(at, seconds, previous, error)
    return end + wait, event


def of_one_batch(run: TimedRun, until: float = 1e9, ended_at: float | None = None) -> Axis:
    return axis_of(audit(0, ended_at), history(run, until), moment(until if until < 1e9 else 1_000))


def test_a_long_call_that_failed_is_work_and_a_short_one_belongs_to_the_wait() -> None:
    run = TimedRun()
    begun = run.add(0, "MapStateEntered", None, stateEnteredEventDetails={"name": "FanOut"})
    iteration = {"name": "FanOut", "index": 7}
    event = run.add(0, "MapIterationStarted", begun, mapIterationStartedEventDetails=iteration)
    event = run.enter(0, "Generate", event)
    at, event = call(run, 0, 30, event, STOPPED, 10)  # it had generated some items
    at, event = call(run, at, 0.1, event, STOPPED, 20)
    at, event = call(run, at, 0.1, event, STOPPED, 40)
    at, event = call(run, at, 60, event, "Lambda.Unknown", 2)
    at, event = run.call(at, 5, event)
    run.leave(at, "Generate", event)
    (batch,) = of_one_batch(run).batches
    assert [(part.kind, part.tries, part.error) for part in batch.phases] == [
        (PhaseKind.GENERATE, 1, STOPPED),
        (PhaseKind.STOPPED, 3, STOPPED),
        (PhaseKind.GENERATE, 1, "Lambda.Unknown"),
        (PhaseKind.RETRY, 1, "Lambda.Unknown"),
        (PhaseKind.GENERATE, 1, None),
    ]
    assert (batch.batch, batch.outcome, batch.ended_at) == (7, BatchOutcome.RUNNING, None), (
        "Save has not begun"
    )
    (waiting,) = of_one_batch(run, until=35).batches
    assert (waiting.phases[-1].kind, waiting.phases[-1].ended_at) == (PhaseKind.STOPPED, None)


def test_an_aborted_map_that_is_redriven_continues_the_attempt() -> None:
    """A redrive runs the unsuccessful iterations again, without entering the Map."""
    run = TimedRun()
    begun = run.add(0, "MapStateEntered", None, stateEnteredEventDetails={"name": "FanOut"})
    iteration = {"name": "FanOut", "index": 3}
    event = run.add(1, "MapIterationStarted", begun, mapIterationStartedEventDetails=iteration)
    event = run.enter(1, "Generate", event)
    run.add(1, "TaskScheduled", event)
    aborted = run.add(5, "ExecutionAborted", None)
    redriven = run.add(60, "ExecutionRedriven", aborted)
    event = run.add(60, "MapIterationStarted", redriven, mapIterationStartedEventDetails=iteration)
    event = run.enter(60, "Generate", event)
    at, event = run.call(60, 4, event)
    event = run.leave(at, "Generate", event)
    event = run.enter(at, "Save", event)
    at, event = run.call(at, 1, event)
    event = run.leave(at, "Save", event)
    event = run.add(at, "MapIterationSucceeded", event, mapIterationSucceededEventDetails=iteration)
    run.last = run.add(at, "MapStateExited", event, stateExitedEventDetails={"name": "FanOut"})
    end = run.task(at, "Finalize", 1)
    axis = axis_of(audit(0, end), history(run), moment(end))
    assert [(phase.kind, phase.ended_at) for phase in axis.phases] == [
        (PhaseKind.BATCHES, moment(5)),
        (PhaseKind.WAITING, moment(60)),
        (PhaseKind.BATCHES, moment(65)),
        (PhaseKind.FINALIZE, moment(66)),
    ]
    assert [(batch.batch, batch.outcome) for batch in axis.batches] == [
        (3, BatchOutcome.ABORTED),
        (3, BatchOutcome.ENDED),
    ]
    assert axis.redriven_at == [moment(60)]
    require_whole(axis.longest_path, moment(0), moment(end))


def test_a_batch_without_its_event_is_lost_if_the_outbox_has_the_attempt() -> None:
    """Save answers with its error instead of failing if it could record nothing."""
    run = TimedRun()
    end = run.fan_out(0, {0: 1.0}, 1, {})
    for is_recorded, outcome in ((True, BatchOutcome.LOST), (False, BatchOutcome.ENDED)):
        axis = axis_of(audit(0, end, is_recorded=is_recorded), history(run), moment(end))
        assert [batch.outcome for batch in axis.batches] == [outcome]


def test_of_a_history_of_two_attempts_each_has_its_own_part() -> None:
    run = TimedRun()
    first = run.task(run.fan_out(run.task(0, "Plan", 1), {0: 2.0}, 1, {}), "Finalize", 1)
    second = run.task(run.fan_out(run.task(first + 100, "Plan", 1), {0: 5.0, 1: 1.0}, 2, {}), "Finalize", 1)
    one = axis_of(audit(0, first - 0.5), history(run), moment(first))
    other = axis_of(audit(first + 100.2, second), history(run), moment(second))
    assert [len(axis.batches) for axis in (one, other)] == [1, 2]
    assert other.phases[0].started_at == moment(first + 100.2), "cut at the claim"
    assert one.phases[-1].ended_at == moment(first - 0.5), "cut at the end"
