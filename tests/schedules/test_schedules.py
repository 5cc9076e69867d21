"""The schedules that found a defect, and the pairs that notice the removal of a guard."""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from random import Random

import pytest

from roadmap_content.postgres import transactions
from tests.schedules.__main__ import samples, told
from tests.schedules.explorer import Explorer
from tests.schedules.schedule import InvalidScheduleError, Schedule
from tests.schedules.template import new_database, template_database

Explorers = Callable[[str], Explorer]


@pytest.fixture(scope="module")
def explorers() -> Iterator[Explorers]:
    """The explorer of a situation."""
    made: dict[str, Explorer] = {}

    with template_database() as server_url:

        def explorer_of(situation: str) -> Explorer:
            if situation not in made:
                made[situation] = Explorer(new_database(server_url), situation)
            return made[situation]

        yield explorer_of
        for explorer in made.values():
            explorer.close()


def require(explorers: Explorers, *pairs: str) -> None:
    """Explore pairs such as `failed/retry/redrive`, and require that nothing is wrong."""
    for pair in pairs:
        situation, first, second = pair.split("/")
        found = explorers(situation).explore(first, second)
        assert found.schedules > 1
        noticed = f"{len(found.violations)} of {found.schedules} schedules; the first:\n"
        assert not found.violations, noticed + told(found.violations[0])


@pytest.mark.parametrize(
    "schedule",
    [
        # Both were answered 202, for the same attempt, and could redrive the execution one after the other.
        "failed/redrive.5/redrive",
        # The old execution was redriven beside the new one, before there was a queue.
        "failed/redrive.14/retry",
        # Plan read the task before it was cancelled, and claimed it afterwards: the cancellation was lost.
        "fresh/plan.1/cancel",
        "arrived/plan.1/product-cancel",
        # The execution was started, or redriven, before the task was cancelled: the cancellation was lost.
        "arrived/cancel/plan",
        "arrived/product-cancel/plan",
        "redriven/cancel.9/await-redrive",
    ],
)
def test_a_schedule_that_found_a_defect(explorers: Explorers, schedule: str) -> None:
    parsed = Schedule.parse(schedule)
    violation = explorers(parsed.situation).replay(parsed)
    assert not violation.broken, told(violation)


def test_a_schedule_has_the_same_steps_and_the_same_end_each_time(explorers: Explorers) -> None:
    explorer = explorers("failed")
    first, second = (explorer.explore("retry", "cancel") for _ in range(2))
    assert first == second
    schedule = Schedule.parse("failed/retry.7/cancel")
    assert explorer.replay(schedule).trace == explorer.replay(schedule).trace


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
    assert [step.process for step in trace] == sorted(step.process for step in trace)


def test_requests_to_start(explorers: Explorers) -> None:
    require(explorers, "failed/retry/retry", "failed/retry/redrive", "failed/redrive/redrive")


def test_a_request_and_an_execution_that_arrives(explorers: Explorers) -> None:
    require(explorers, "arrived/plan/retry", "arrived/cancel/plan")


def test_a_start_that_was_not_confirmed(explorers: Explorers) -> None:
    require(explorers, "claimed/retry/admit", "redriving/retry/event")


def test_a_cancel_and_the_end_of_a_run(explorers: Explorers) -> None:
    require(explorers, "at-work/cancel/finalize")


def test_a_late_end_and_the_next_attempt(explorers: Explorers) -> None:
    require(explorers, "stopped/retry/finalize", "stopped/retry/redrive", "stopped/event/plan")
    require(explorers, "redriven/event/await-redrive")


def test_the_end_of_a_run_and_other_writes(explorers: Explorers) -> None:
    require(explorers, "at-work/finalize/save-another", "at-work/finalize/edit")


def test_the_end_of_a_run_and_its_counts(explorers: Explorers) -> None:
    require(explorers, "at-work/generate/finalize", "at-work/plan/finalize", "at-work/plan/save-another")


def test_steps_that_are_delivered_twice(explorers: Explorers) -> None:
    require(explorers, "at-work/generate/generate", "at-work/plan/plan", "at-work/finalize/finalize")


def test_admissions(explorers: Explorers) -> None:
    require(explorers, "waiting/retry/retry", "contended/automatic/admit", "admissible/cancel/admit")


def test_a_recovery_and_its_cancellation(explorers: Explorers) -> None:
    require(explorers, "recovering/advance/advance", "recovering/advance/cancel-recovery")


def test_situations_are_explored_in_turn(explorers: Explorers) -> None:
    explorers("at-work")
    # The processes of the situation that was made last took the pauses of all others.
    require(explorers, "stopped/cancel/cancel", "at-work/generate/generate")
    assert vars(transactions)["time"] is time
