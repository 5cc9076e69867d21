"""Each step of a recovery under each fault, and beside changes by others, at each of its COMMITs.

The recovery retries a task of two concepts of which one quiz is invalid, and another one without a roadmap,
which it must refuse. After the fault come sweeps and runs; a step that failed is not repeated. Then each
recovery must have ended, each of its tasks must have a result, and the oracle checks I1–I6, I9 and I10.
"""

from collections.abc import Mapping

import pytest

from tests.faults.matrix.recovery_play import RecoveryFault, RecoveryStep, endings
from tests.faults.matrix.steps import Setting
from tests.faults.sampling import sampled

pytestmark = [
    pytest.mark.usefixtures("clock"),
    # Connections are cut off here, so that the garbage collector finds unclosed sockets at any time.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

S, F = RecoveryStep, RecoveryFault
STARTING = (S.CREATE, S.START, S.RESUME)
AT_WORK = (S.PAUSE, S.SWEEP)

RECOVERED = "completed: recovered; completed; recovery"
CANCELLED = "cancelled: recovered; completed; recovery"
NOT_STARTED = "cancelled: refused RecoveryCancelled; partial_failure; none"
TASK_CANCELLED = "completed: still_failing Cancelled; cancelled; recovery"
TASK_GONE = "completed: refused TaskNotFound; deleted; recovery"
STOPPED = "completed: still_failing ExecutionOver; partial_failure; recovery"
ROADMAP_GONE = "completed: still_failing failed; failed; recovery"

UNDISTURBED: Mapping[RecoveryStep, str] = {
    **dict.fromkeys(S, RECOVERED),
    S.CANCEL: CANCELLED,
    S.CANCEL_PAUSED: NOT_STARTED,
}
"""How the recovery ended, with its result of the task; the task's status; and who started its attempts after
the first one.
"""

_NOT_CANCELLED = {S.CANCEL: RECOVERED, S.CANCEL_PAUSED: RECOVERED}
OTHERWISE: Mapping[RecoveryFault, Mapping[RecoveryStep, str]] = {
    # The second COMMIT of a cancel is that of the recovery's next step.
    F.KILLED_BEFORE: {
        S.CANCEL: f"{RECOVERED} or {CANCELLED}",
        S.CANCEL_PAUSED: f"{RECOVERED} or {NOT_STARTED}",
    },
    F.AWAY: _NOT_CANCELLED,
    F.TWICE_AT_ONCE: {
        S.CREATE: (
            "completed: refused ClaimRefused, then completed: recovered; completed; recovery or "
            "completed: recovered, then completed: refused ClaimRefused; completed; recovery"
        )
    },
    F.RETRIED: {
        **dict.fromkeys(STARTING, f"completed: refused ClaimRefused; completed; user or {RECOVERED}"),
        S.CANCEL_PAUSED: "cancelled: refused RecoveryCancelled; completed; user",
    },
    F.RUN_STOPPED: {
        **dict.fromkeys(AT_WORK, STOPPED),
        S.CANCEL: "cancelled: still_failing ExecutionOver; partial_failure; recovery",
    },
    F.TASK_CANCELLED: {
        **dict.fromkeys(STARTING, f"{RECOVERED} or {TASK_CANCELLED}"),
        **dict.fromkeys(AT_WORK, TASK_CANCELLED),
        S.FINALIZE: f"{TASK_CANCELLED} or completed: recovered; cancelled; recovery",
        S.CANCEL: "cancelled: still_failing Cancelled; cancelled; recovery",
        S.CANCEL_PAUSED: "cancelled: refused RecoveryCancelled; cancelled; none",
    },
    F.TASK_DELETED: {
        **dict.fromkeys(STARTING, f"completed: refused TaskNotFound; deleted; none or {TASK_GONE}"),
        **dict.fromkeys(AT_WORK, TASK_GONE),
        S.CANCEL: "cancelled: refused TaskNotFound; deleted; recovery",
        S.CANCEL_PAUSED: "cancelled: refused RecoveryCancelled; deleted; none",
    },
    F.ROADMAP_DELETED: {
        **dict.fromkeys(
            STARTING, f"completed: refused RoadmapNotFound; partial_failure; none or {ROADMAP_GONE}"
        ),
        **dict.fromkeys(AT_WORK, ROADMAP_GONE),
        S.CANCEL: "cancelled: still_failing failed; failed; recovery",
    },
    F.CANCELLED: {
        **dict.fromkeys((S.START, S.RESUME), f"{NOT_STARTED} or {CANCELLED}"),
        **dict.fromkeys(AT_WORK, CANCELLED),
        S.FINALIZE: f"{CANCELLED} or {RECOVERED}",
    },
}
"""The different endings, in the order of the COMMITs, where they are not that of the undisturbed step."""

NOT_POSSIBLE: Mapping[RecoveryFault, tuple[RecoveryStep, ...]] = {
    F.THROTTLED: (S.FINALIZE, S.PAUSE, S.CANCEL, S.CANCEL_PAUSED, S.SWEEP),  # start no execution
    F.TASK_DELETED: (S.FINALIZE,),  # it needs the task
    F.PAUSED: (S.CREATE,),  # its id is not known yet
    F.CANCELLED: (S.CREATE,),
}


@pytest.mark.parametrize(
    ("step", "fault"),
    sampled([(step, fault) for fault in F for step in S if step not in NOT_POSSIBLE.get(fault, ())], every=7),
)
def test_a_step_of_a_recovery(setting: Setting, step: RecoveryStep, fault: RecoveryFault) -> None:
    assert endings(setting, step, fault) == OTHERWISE.get(fault, {}).get(step, UNDISTURBED[step])
