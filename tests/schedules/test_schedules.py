"""The schedules that found a defect, and the explorer itself."""

import time
from itertools import islice
from random import Random

import pytest

from roadmap_content.platform.postgres import transactions
from tests.schedules.__main__ import samples
from tests.schedules.explorer import Explorers
from tests.schedules.pairs import require
from tests.schedules.schedule import InvalidScheduleError, Schedule

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "schedule",
    [
        # Both were answered 202, for the same attempt, and could redrive the execution one after the other.
        "failed/redrive.5/redrive",
        # The old execution was redriven beside the new one, before there was a queue.
        "failed/redrive.13/retry",
        # Plan read the task before it was cancelled, and claimed it afterwards: the cancellation was lost.
        "fresh/plan.1/cancel",
        "arrived/plan.1/product-cancel",
        # The execution was started, or redriven, before the task was cancelled: the cancellation was lost.
        "arrived/cancel/plan",
        "arrived/product-cancel/plan",
        "redriven/cancel.9/await-redrive",
        # The automatic attempt of a task that its user had cancelled was started.
        "contended/cancel/automatic",
        # The task was claimed between two statements of the cancellation, which was answered with an error.
        "replaced/cancel.2/regenerate",
        # The product's cancellation, which committed in between, was lifted: the task was completed.
        "regenerating/cancel.1/product-cancel",
        # The product had taken the task over in between. It was completed beside the product's work.
        "replaced/cancel.1/take-over",
        # The rule was wrong: a cancelled attempt may be superseded before its execution has ended.
        "redriven/await-redrive/cancel/redrive",
        # The rule was wrong: a retry completes a cancelled task if no item is missing.
        "regenerating/cancel/product-cancel/retry",
    ],
)
def test_a_schedule_that_found_a_defect(explorers: Explorers, schedule: str) -> None:
    parsed = Schedule.parse(schedule)
    violation = explorers(parsed.situation).replay(parsed)
    assert not violation.broken, str(violation)


def test_a_schedule_has_the_same_steps_and_the_same_end_each_time(explorers: Explorers) -> None:
    explorer = explorers("failed")
    first, second = (explorer.explore("retry", "cancel") for _ in range(2))
    assert first == second
    schedule = Schedule.parse("failed/retry.7/cancel")
    assert explorer.replay(schedule).trace == explorer.replay(schedule).trace


def test_a_situation_is_made_again_before_its_time_has_passed(
    explorers: Explorers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an old one, a sweep would start the execution of another task again."""
    first = explorers("admissible")
    assert explorers("admissible") is first
    monkeypatch.setattr("tests.schedules.explorer.FRESH_SECONDS", -1)
    assert explorers("admissible") is not first


def test_a_sample_follows_from_its_seed(explorers: Explorers) -> None:
    explorer = explorers("failed")
    first, second = (
        explorer.sample(("retry", "cancel", "event"), Random(1), 4)  # noqa: S311 - to be repeated
        for _ in range(2)
    )
    assert first == second
    assert first.schedules > 1
    assert not first.violations
    taken = [list(islice(samples(seed), 9)) for seed in (1, 1, 2)]
    assert taken[0] == taken[1] != taken[2]


@pytest.mark.parametrize(
    "schedule", ["failed/retry.3!/redrive", "waiting/admit/release.7", "failed/retry.9/cancel.3/event"]
)
def test_a_schedule_is_read_as_it_is_written(schedule: str) -> None:
    assert str(Schedule.parse(schedule)) == schedule


@pytest.mark.parametrize(
    "schedule", ["failed", "failed/retry", "failed/retry.x/redrive", "nowhere/a/b", "failed" + 4 * "/retry"]
)
def test_a_text_that_is_no_schedule_is_refused(schedule: str) -> None:
    with pytest.raises(InvalidScheduleError):
        Schedule.parse(schedule)


def test_a_process_that_connects_waits_for_nobody(explorers: Explorers) -> None:
    trace = explorers("contended").replay(Schedule.parse("contended/automatic/admit")).trace
    played = [step.process for step in trace if not step.label.startswith("->")]
    assert played == sorted(played)


def test_situations_are_explored_in_turn(explorers: Explorers) -> None:
    explorers("at-work")
    # The processes of the situation that was made last took the pauses of all others.
    require(explorers, "stopped/cancel/cancel", "at-work/generate/generate")
    assert vars(transactions)["time"] is time
