"""Faults that only the real state machine and real functions can have: exact endings on the local stack."""

from collections.abc import Iterator, Mapping

import pytest

from roadmap_command.load import load_bundle
from roadmap_content.content.bundle import read_bundle
from roadmap_content.platform.runtime.deadline import Deadline
from tests.faults.matrix import stack_faults
from tests.faults.matrix.rig import Rig
from tests.faults.matrix.stack_faults import StackFault
from tests.faults.matrix.stack_play import StackPlay
from tests.faults.matrix.steps import Step
from tests.support.factories import bundle_of

pytestmark = [
    pytest.mark.nightly,
    # Connections are cut off here, so that the garbage collector finds unclosed sockets at any time.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

COMPLETED = "SUCCEEDED; completed all"
NOTHING = "FAILED ContentIncomplete; failed 0"
ONE_MISSING = "FAILED ContentIncomplete; partial_failure all but 1"

P, G, S, F, A, R, C = Step

ENDINGS: Mapping[StackFault, Mapping[Step, str]] = {
    stack_faults.unreachable: {
        P: NOTHING,
        G: ONE_MISSING,
        S: NOTHING,
        F: "FAILED DatabaseUnavailableError; partial_failure all but 1",
        A: "FAILED DatabaseUnavailableError; partial_failure all but 1",
        R: "503 DatabaseUnavailable; partial_failure all but 1",
        C: "DatabaseUnavailableError; completed all",
    },
    stack_faults.timeout: {
        P: COMPLETED,
        G: ONE_MISSING,
        S: NOTHING,
        F: ONE_MISSING,
        A: COMPLETED,
        R: "503 DatabaseUnavailable; partial_failure all but 1",
        C: "DatabaseUnavailableError; completed all",
    },
    stack_faults.killed: {
        P: NOTHING,
        G: ONE_MISSING,
        S: NOTHING,
        F: "FAILED Runtime.ExitError; partial_failure all but 1",
        A: "FAILED Runtime.ExitError; partial_failure all but 1",
        R: "502; partial_failure all but 1",
        C: "Runtime.ExitError; completed all",
    },
    stack_faults.throttled: {
        P: COMPLETED,
        G: COMPLETED,
        S: COMPLETED,
        F: ONE_MISSING,
        A: COMPLETED,
        R: "429; partial_failure all but 1",
        C: "TooManyRequestsException; completed all",
    },
    stack_faults.stopped: {P: "ABORTED; failed 0", S: "ABORTED; completed all"},
    stack_faults.s3_denied: {P: NOTHING, G: ONE_MISSING, S: NOTHING, F: NOTHING},
}
"""How the execution or the request ended, and the task with its saved items, of twelve.

Faults of the database that pass, or that differ in the server's error only, are in `test_steps.py`.
"""


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """One stack for all cells of a worker, and a neighbour that no cell may change."""
    # Always a separate database server, also if DATABASE_URL is set: the faults change its roles.
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("DATABASE_URL", raising=False)
        with Rig.start() as rig:
            neighbour = read_bundle(
                bundle_of(["theirs"], roadmap_id="r-theirs", task_id="t-theirs", user_id="a neighbour")
            )
            load_bundle(neighbour, rig.target.engine, rig.target.bucket, Deadline.after(600))
            # Cold starts count against a function's timeout, so they must not happen within a cell.
            first = StackPlay(rig, Step.PLAN)
            first.wait(first.start())
            rig.await_quiet()
            first.forget()
            yield rig


@pytest.mark.parametrize(
    ("fault", "step", "ending"),
    [
        pytest.param(fault, step, ending, id=f"{fault.__name__}-{step}")
        for fault, endings in ENDINGS.items()
        for step, ending in endings.items()
    ],
)
def test_a_fault_on_the_stack(rig: Rig, fault: StackFault, step: Step, ending: str) -> None:
    play = StackPlay(rig, step)
    try:
        assert play.play(fault) == ending
    finally:
        rig.await_quiet()
        play.forget()
