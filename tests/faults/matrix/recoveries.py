"""The matrix of recoveries: every step of a recovery × every fault. A cell is run, or states why not."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple


class RecoveryStep(StrEnum):
    """The step during the fault. Advance is the only state that runs code."""

    CREATE = "creation"
    START = "Advance: starts tasks"
    NEXT_TURN = "NextTurn"
    OBSERVE = "Advance: observes tasks"
    HAND_OVER = "Advance: hands over"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    CANCEL_PAUSED = "cancel, paused"
    SWEEP = "sweep: takes it up"


class RecoveryFault(StrEnum):
    """The faults, and concurrent actions of others."""

    KILLED_BEFORE = "killed before a COMMIT"
    KILLED_AFTER = "killed after a COMMIT"
    LOST_BEFORE = "connection lost before a COMMIT"
    UNKNOWN_COMMIT = "COMMIT of unknown outcome"
    AWAY = "database away"
    AWAY_AND_BACK = "database away and back"
    THROTTLED = "StartExecution throttled"
    TWICE_AT_ONCE = "invoked twice at once"
    ABORTED = "its execution is aborted"
    TIMED_OUT = "its execution times out"
    REDRIVEN = "its execution is redriven"
    RETRIED = "somebody retries the task"
    RUN_STOPPED = "the task's run is stopped"
    TASK_CANCELLED = "the task is cancelled"
    TASK_DELETED = "the task is deleted"
    ROADMAP_DELETED = "the roadmap is deleted"
    PAUSED = "it is paused"
    CANCELLED = "it is cancelled"


class RecoveryCell(NamedTuple):
    """One step with one fault."""

    step: RecoveryStep
    fault: RecoveryFault

    def __str__(self) -> str:
        """The cell's name as one word, for pytest."""
        words = "".join(letter if letter.isalnum() else " " for letter in f"{self.step} {self.fault}")
        return "-".join(words.split())


@dataclass(frozen=True)
class RecoveryResult:
    """One row of the report."""

    step: str
    fault: str
    injected: str
    places: int
    """The number of injections, each at another COMMIT of the step, in another recovery."""

    recovery: str
    task: str
    attempts: str


INJECTED: Mapping[RecoveryFault, str] = {
    RecoveryFault.KILLED_BEFORE: "the process ends before the COMMIT, and is not invoked again",
    RecoveryFault.KILLED_AFTER: "the process ends after the COMMIT, and is not invoked again",
    RecoveryFault.LOST_BEFORE: "pg_terminate_backend before the COMMIT",
    RecoveryFault.UNKNOWN_COMMIT: "pg_terminate_backend after the COMMIT, before its answer",
    RecoveryFault.AWAY: "every connection is refused until the step gives up",
    RecoveryFault.AWAY_AND_BACK: "connections are lost and the next two refused, then accepted",
    RecoveryFault.THROTTLED: "ThrottlingException to each StartExecution of the step",
    RecoveryFault.TWICE_AT_ONCE: "the same invocation, whole, after the COMMIT of the first",
    RecoveryFault.ABORTED: "StopExecution of the recovery's execution after the COMMIT; the step goes on",
    RecoveryFault.TIMED_OUT: "the recovery's execution is TIMED_OUT after the COMMIT; the step goes on",
    RecoveryFault.REDRIVEN: "the execution fails after the COMMIT; the sweep starts another, and both go on",
    RecoveryFault.RETRIED: "the user's own retry after the COMMIT",
    RecoveryFault.RUN_STOPPED: "StopExecution of the task's run after the COMMIT",
    RecoveryFault.TASK_CANCELLED: "UPDATE roadmap_tasks SET status cancelled after the COMMIT",
    RecoveryFault.TASK_DELETED: "DELETE FROM roadmap_tasks after the COMMIT",
    RecoveryFault.ROADMAP_DELETED: "roadmap_metadata.deleted_at is set after the COMMIT, to the end",
    RecoveryFault.PAUSED: "an operator pauses it after the COMMIT, and resumes it at the end",
    RecoveryFault.CANCELLED: "an operator cancels it after the COMMIT",
}

_DATABASE = (
    RecoveryFault.KILLED_BEFORE,
    RecoveryFault.KILLED_AFTER,
    RecoveryFault.LOST_BEFORE,
    RecoveryFault.UNKNOWN_COMMIT,
    RecoveryFault.AWAY,
    RecoveryFault.AWAY_AND_BACK,
)
_OF_EXECUTION = (RecoveryFault.ABORTED, RecoveryFault.TIMED_OUT, RecoveryFault.REDRIVEN)
_CHANGES = (RecoveryStep.PAUSE, RecoveryStep.RESUME, RecoveryStep.CANCEL, RecoveryStep.CANCEL_PAUSED)

STARTS = (
    RecoveryStep.CREATE,
    RecoveryStep.START,
    RecoveryStep.HAND_OVER,
    RecoveryStep.RESUME,
    RecoveryStep.CANCEL_PAUSED,
    RecoveryStep.SWEEP,
)
"""The steps that start an execution: the recovery's, or a task's."""

RECOVERY_IMPOSSIBLE: Mapping[RecoveryCell, str] = {
    **{
        RecoveryCell(RecoveryStep.NEXT_TURN, fault): "It is a Wait: it runs no code."
        for fault in (*_DATABASE, RecoveryFault.THROTTLED, RecoveryFault.TWICE_AT_ONCE)
    },
    **{
        RecoveryCell(step, RecoveryFault.THROTTLED): "It starts no execution."
        for step in (RecoveryStep.OBSERVE, RecoveryStep.PAUSE, RecoveryStep.CANCEL)
    },
    **{
        RecoveryCell(RecoveryStep.CREATE, fault): "It has no execution before its last COMMIT."
        for fault in _OF_EXECUTION
    },
    **{
        RecoveryCell(step, fault): "Its last execution has ended: there is nothing to stop or to redrive."
        for step in (RecoveryStep.RESUME, RecoveryStep.CANCEL_PAUSED, RecoveryStep.SWEEP)
        for fault in (RecoveryFault.ABORTED, RecoveryFault.TIMED_OUT)
    },
    **{
        RecoveryCell(step, RecoveryFault.RUN_STOPPED): "The task has no run then."
        for step in (RecoveryStep.CREATE, RecoveryStep.OBSERVE)
    },
    RecoveryCell(RecoveryStep.CREATE, RecoveryFault.PAUSED): "Its id is not known before the response.",
    RecoveryCell(RecoveryStep.CREATE, RecoveryFault.CANCELLED): "Its id is not known before the response.",
}

RECOVERY_CELLS = [RecoveryCell(step, fault) for step in RecoveryStep for fault in RecoveryFault]
RECOVERY_RUN = [cell for cell in RECOVERY_CELLS if cell not in RECOVERY_IMPOSSIBLE]


def reasons() -> Iterator[tuple[str, str, str]]:
    """`(step, faults, reason)` of the cells that are not run."""
    found: dict[tuple[str, str], list[str]] = {}
    for cell in RECOVERY_CELLS:
        if reason := RECOVERY_IMPOSSIBLE.get(cell):
            found.setdefault((cell.step, reason), []).append(cell.fault)
    for (step, reason), faults in found.items():
        yield step, ", ".join(faults), reason
