"""The matrix of the steps of a recovery: their faults, and the cells that are impossible."""

from collections.abc import Mapping
from enum import StrEnum

from tests.faults.matrix import matrix


class RecoveryStep(StrEnum):
    """The step during the fault."""

    CREATE = "creation"
    START = "starts its tasks"
    FINALIZE = "Finalize of its run"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"
    CANCEL_PAUSED = "cancel, paused"
    SWEEP = "sweep"
    RESTORE = "restore of a revision"
    UNDO = "undo of a regeneration"


RESTORING = (RecoveryStep.RESTORE, RecoveryStep.UNDO)
"""The steps after a recovery has regenerated saved items, and has ended."""


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
    RETRIED = "somebody retries the task"
    RUN_STOPPED = "the task's run is stopped"
    TASK_CANCELLED = "the task is cancelled"
    TASK_DELETED = "the task is deleted"
    ROADMAP_DELETED = "the roadmap is deleted"
    PAUSED = "it is paused"
    CANCELLED = "it is cancelled"


RecoveryCell = matrix.Cell[RecoveryStep, RecoveryFault]

INJECTED: Mapping[RecoveryFault, str] = {
    RecoveryFault.KILLED_BEFORE: "the process ends before the COMMIT, and the step is not repeated",
    RecoveryFault.KILLED_AFTER: "the process ends after the COMMIT, and the step is not repeated",
    RecoveryFault.LOST_BEFORE: "pg_terminate_backend before the COMMIT",
    RecoveryFault.UNKNOWN_COMMIT: "pg_terminate_backend after the COMMIT, before its answer",
    RecoveryFault.AWAY: "every connection is refused until the step gives up",
    RecoveryFault.AWAY_AND_BACK: "connections are lost and the next two refused, then accepted",
    RecoveryFault.THROTTLED: "ThrottlingException to each StartExecution of the step",
    RecoveryFault.TWICE_AT_ONCE: "the same invocation, whole, after the COMMIT of the first",
    RecoveryFault.RETRIED: "the user's own retry after the COMMIT",
    RecoveryFault.RUN_STOPPED: "StopExecution of the task's run after the COMMIT",
    RecoveryFault.TASK_CANCELLED: "UPDATE roadmap_tasks SET status cancelled after the COMMIT",
    RecoveryFault.TASK_DELETED: "DELETE FROM roadmap_tasks after the COMMIT",
    RecoveryFault.ROADMAP_DELETED: "roadmap_metadata.deleted_at is set after the COMMIT, to the end",
    RecoveryFault.PAUSED: "an operator pauses it after the COMMIT, and resumes it at the end",
    RecoveryFault.CANCELLED: "an operator cancels it after the COMMIT",
}

RECOVERY_IMPOSSIBLE: Mapping[RecoveryCell, str] = {
    **{
        RecoveryCell(step, RecoveryFault.THROTTLED): "It starts no execution."
        for step in (
            RecoveryStep.FINALIZE,
            RecoveryStep.PAUSE,
            RecoveryStep.CANCEL,
            RecoveryStep.CANCEL_PAUSED,
            RecoveryStep.SWEEP,
        )
    },
    RecoveryCell(RecoveryStep.CREATE, RecoveryFault.PAUSED): "Its id is not known before the response.",
    RecoveryCell(RecoveryStep.CREATE, RecoveryFault.CANCELLED): "Its id is not known before the response.",
    RecoveryCell(RecoveryStep.FINALIZE, RecoveryFault.TASK_DELETED): "Finalize then has no task to record.",
    **{
        RecoveryCell(step, fault): reason
        for step in RESTORING
        for fault, reason in {
            RecoveryFault.THROTTLED: "It starts no execution.",
            RecoveryFault.RUN_STOPPED: "No run is running.",
            RecoveryFault.TASK_DELETED: "What it restores belongs to a task.",
            RecoveryFault.PAUSED: "The recovery has ended.",
            RecoveryFault.CANCELLED: "The recovery has ended.",
        }.items()
    },
}

RECOVERIES = matrix.Matrix(RecoveryStep, RecoveryFault, RECOVERY_IMPOSSIBLE)
