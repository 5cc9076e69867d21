"""A simulated run stays inside the limits of Step Functions for any size and any failure."""

from collections.abc import Iterator
from itertools import cycle
from typing import Any, NoReturn

import pytest

from local_stack.template_file import default_of
from roadmap_content.contracts.payloads import BatchRequest, StateError, parse
from roadmap_content.runs.steps.finalize import FinalizeRequest
from roadmap_content.runs.steps.save import SaveReport
from roadmap_content.state.queue.order import OVERSUBSCRIPTION
from tests.support.factories import TYPES
from tests.support.simulated_run import run_of
from tests.support.simulation import HISTORY_LIMIT, PAYLOAD_LIMIT, FailedError, Function
from tests.support.templates import STACK

BATCH_SIZE: int = default_of(STACK, "BatchSize")
CAUSE = "理由🙂" * 1_000


def lost(*errors: str) -> Function:
    """A function that ends with each of the errors in turn, repeatedly."""
    turns: Iterator[str] = cycle(errors)

    def fail(_event: object) -> NoReturn:
        raise FailedError(next(turns), CAUSE)

    return fail


def refuse(event: object) -> dict[str, Any]:
    """A Save that could not record anything."""
    batch = parse(BatchRequest, event).batch
    error = StateError(error="DatabaseUnavailable", cause=CAUSE[:100])
    return SaveReport(batch=batch, saved=0, failed=batch.total, error=error).model_dump(mode="json")


@pytest.mark.parametrize("concepts", [10, 1_000, 10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_a_run_without_faults_is_far_inside_the_limits(concepts: int) -> None:
    run = run_of(concepts, BATCH_SIZE)
    assert run.error is None
    assert run.transitions <= max(300, concepts * 0.3)
    assert run.events <= 15_000
    assert run.largest.size <= PAYLOAD_LIMIT / 2


# The errors of each retrier until it stops, then those of the next one: the maximum number of tries.
EVER_NEW = (*["Lambda.ServiceException"] * 6, *["Lambda.Unknown"] * 2)


@pytest.mark.parametrize(
    ("generate", "save"),
    [
        *(
            pytest.param(lost(error), lost(error), marks=pytest.mark.slow, id=error)
            for error in ("Lambda.ServiceException", "Lambda.Unknown", "States.Timeout")
        ),
        pytest.param(lost(*EVER_NEW), lost(*EVER_NEW), id="ever new"),
        pytest.param(lost("Lambda.Unknown"), refuse, id="no database"),
    ],
)
def test_finalize_receives_every_lost_batch_of_the_largest_run(generate: Function, save: Function) -> None:
    received: list[FinalizeRequest] = []

    def finalize(event: object) -> NoReturn:
        received.append(parse(FinalizeRequest, event))
        raise FailedError("TestIsOver")

    broken = {"GenerateContentFunction": generate, "SaveBatchFunction": save}
    run = run_of(100_000, BATCH_SIZE, broken | {"FinalizeTaskFunction": finalize})
    assert received[0].error is None
    assert sum(lost.batch.total for lost in received[0].lost) == 100_000 * TYPES
    assert run.events < HISTORY_LIMIT - 100
    assert run.largest.size <= PAYLOAD_LIMIT


THROTTLED = "Lambda.TooManyRequestsException"


@pytest.mark.parametrize(
    ("function", "error"),
    [
        ("GenerateContentFunction", THROTTLED),
        ("SaveBatchFunction", THROTTLED),
        ("GenerateContentFunction", "GenerationStoppedError"),
    ],
)
@pytest.mark.parametrize("concepts", [1_000, 100_000])
def test_a_throttle_or_a_stop_that_does_not_end_waits_as_long_as_the_machine_may(
    concepts: int, function: str, error: str
) -> None:
    run = run_of(concepts, BATCH_SIZE, {function: lost(error)})
    assert run.error == "States.Timeout", "no batch is given up before"
    assert run.events < 0.75 * HISTORY_LIMIT, "so that the run can be redriven, and waits again"


@pytest.mark.parametrize("function", ["GenerateContentFunction", "SaveBatchFunction"])
def test_every_batch_of_the_largest_run_may_wait_for_a_slot(function: str) -> None:
    """For as long as the oversubscription lets it wait for the longest invocation, on average 270 s."""
    longest: int = STACK["Resources"]["GenerateContentFunction"]["Properties"]["Timeout"]
    waited, throttles = 0.0, 0
    while waited < (OVERSUBSCRIPTION - 1) * longest:
        waited += 2 * 1.1**throttles / 2  # full jitter waits half of the delay on average
        throttles += 1
    turns = cycle([*[THROTTLED] * throttles, None])

    def served(event: object) -> dict[str, Any]:
        if error := next(turns):
            raise FailedError(error)
        batch = parse(BatchRequest, event).batch
        return SaveReport(batch=batch, saved=batch.total, failed=0).model_dump(mode="json")

    run = run_of(100_000, BATCH_SIZE, {function: served})
    assert run.error is None, "no batch is lost"
    assert run.events < HISTORY_LIMIT - 100


def test_an_incomplete_run_ends_failed_where_it_can_be_redriven() -> None:
    run = run_of(100, BATCH_SIZE, {"SaveBatchFunction": lost("States.Timeout")})
    assert run.error == "ContentIncomplete"
    assert run.invocations["AwaitRedriveFunction"] == 1


def test_a_plan_that_fails_is_finalized() -> None:
    run = run_of(
        100, BATCH_SIZE, {"PlanBatchesFunction": lost("RoadmapLockedError", "DatabaseUnavailableError")}
    )
    assert (run.error, run.invocations) == (
        "ContentIncomplete",
        {"PlanBatchesFunction": 6, "FinalizeTaskFunction": 1, "AwaitRedriveFunction": 1},
    )
