"""The schedules that found a defect, and the explorer itself."""

import pytest

from tests.schedules.explorer import Explorers
from tests.schedules.schedule import Schedule

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
        "redriven/cancel.7/await-redrive",
        # The automatic attempt of a task that its user had cancelled was started.
        "contended/cancel/automatic",
        # The task was claimed between two statements of the cancellation, which was answered with an error.
        "replaced/cancel.2/regenerate",
        # The product's cancellation, which committed in between, was lifted: the task was completed.
        "regenerating/cancel.1/product-cancel",
        # The roadmap of a task that missed nothing was deleted during a retry: a cancelled task had failed.
        "cancelled/delete-roadmap.1/retry.4/product-cancel",
        "cancelled/cancel.8/delete-roadmap.1/retry",
        # The product had taken the task over in between. It was completed beside the product's work.
        "replaced/cancel.1/take-over",
        # The rule was wrong: a cancelled attempt may be superseded before its execution has ended.
        "redriven/await-redrive/cancel/redrive",
        # A step that was sent before its user was erased writes afterwards; one per step of a run.
        "fresh/plan.3/erase",
        "arrived/plan.4/erase",
        "at-work/generate.6/erase",
        "at-work/save.4/erase",
        "at-work/finalize.4/erase",
        "failed/retry.7/erase",
        "failed/erase.6/retry",
        # A transaction of the sweep, of a restore or of Save wrote after its rows had been deleted.
        "failed/event.3/erase",
        "failed/event.9/erase",
        "replaced/restore.12/erase",
        "replaced/save.2/erase",
        "waiting/erase/admit",
        # The error of a task was recorded after its rows had been deleted.
        "arrived/sweep.46/erase.34/plan",
        # Another request for the same user had stopped the run, which wrote after its objects were deleted.
        "redriven/plan.7/erase.17/erase",
        # The claim was decided before the erasure, waited for its locks, and committed after its end.
        "fresh/erase.25/plan",
        "contended/automatic.5/erase",
        # The rule was wrong: a retry completes a cancelled task if no item is missing.
        "regenerating/cancel/product-cancel/retry",
        # The rule was wrong: the outcome of a deleted roadmap names no item, and a newer attempt had begun.
        "stopped/delete-roadmap.1/finalize.9/regenerate",
        # An attempt that the product had cancelled was admitted between a retry's read and its claim.
        "admissible/product-cancel.2/retry.3/admit",
        "admissible/product-cancel.2/retry.3/sweep",
        "waiting/product-cancel.2/retry.3/release",
        # A claim ended the attempt before it, which waited, and then waited for the admission that chose it.
        "admissible/product-cancel/admit.2/retry",
        # The rule was wrong: Restore looked for a deadlock before the product's trigger gave up.
        "replaced/new-row.2/erase.34/restore",
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
