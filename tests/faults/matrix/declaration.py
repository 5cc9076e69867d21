"""The matrix of the steps: their faults, and the cells that are impossible or covered by another one."""

from collections.abc import Mapping
from enum import StrEnum

from roadmap_content.content.manifest import MAX_BATCHES
from tests.faults.matrix import matrix


class Step(StrEnum):
    """The steps under test."""

    PLAN = "Plan"
    GENERATE = "Generate"
    SAVE = "Save"
    FINALIZE = "Finalize"
    AWAIT_REDRIVE = "AwaitRedrive"
    RETRY = "retry endpoint"
    RECONCILE = "Reconcile"
    START = "StartExecution"


class Fault(StrEnum):
    """The faults."""

    EXCEPTION = "exception"
    TIMEOUT = "timeout"
    KILLED_BEFORE = "killed before its commits"
    KILLED_BETWEEN = "killed between its commits"
    KILLED_AFTER = "killed after its commits"
    THROTTLED = "throttled"
    TWICE_AT_ONCE = "invoked twice at once"
    AGAIN_LATER = "invoked again an hour later"
    UNREACHABLE = "database gone before the connection"
    LOST_IN_STATEMENT = "database gone in a statement"
    LOST_AT_COMMIT = "database gone before the COMMIT"
    UNKNOWN_COMMIT = "COMMIT of unknown outcome"
    AWAY_AND_BACK = "database away and back"
    CONNECTION_LIMIT = "connection limit"
    DEADLOCK = "deadlock"
    SERIALIZATION = "serialization failure"
    LOCK_TIMEOUT = "lock timeout"
    STATEMENT_TIMEOUT = "statement timeout"
    IDLE_HOLDER = "idle session holds the row"
    LOCKED_ROADMAP = "idle session holds the roadmap"
    DISK_FULL = "disk full"
    READ_ONLY = "read-only"
    STALLED = "server process stopped (SIGSTOP)"
    FOREIGN_SQLSTATE = "foreign SQLSTATE"
    UNDECODABLE = "undecodable row"
    S3_DENIED = "S3 denies"
    S3_MISSING = "S3 misses an object"
    S3_HALF = "S3 gives half an object"
    S3_BUSY = "S3 asks to slow down"
    LARGE_PAYLOAD = "payload too large"
    LARGE_RESULT = "result too large"
    STOPPED = "execution stopped"
    TIMED_OUT = "execution timed out"
    REDRIVEN = "redriven beside a retry"
    RESTORED = "database restored"
    CANCELLED = "the product cancels the task"
    DELETED = "the product deletes the roadmap"
    RIVAL_ROWS = "the product saves a concept"
    RIVAL_STATUS = "the product finishes the task"
    CHECK_SLOW = "content check slow"
    CHECK_CRASHES = "content check crashes"
    CHECK_WRONG = "content check answers wrongly"
    CHECK_TOO_LARGE = "content check gets too much"


Cell = matrix.Cell[Step, Fault]

MACHINE = (Step.PLAN, Step.GENERATE, Step.SAVE, Step.FINALIZE, Step.AWAIT_REDRIVE)
"""The steps that are states of the state machine."""

_NO_DATABASE = "StartExecution uses no database; the endpoint that calls it has its own cell."
_NO_S3 = "It neither reads nor writes S3."
_ONE_LOCK = "It locks one row at a time, and a deadlock needs two locks."
_NO_STATE = "It is not a state of an execution, and cannot be stopped or time out."
_SMALL = f"By construction: at most {MAX_BATCHES} references of some 100 bytes (`manifest.MAX_BATCHES`)."
_CONSTANT = "By construction: a reference and a plan, or counts: below 2 KiB at any size of a roadmap."

_DATABASE = (
    Fault.UNREACHABLE,
    Fault.LOST_IN_STATEMENT,
    Fault.LOST_AT_COMMIT,
    Fault.UNKNOWN_COMMIT,
    Fault.AWAY_AND_BACK,
    Fault.CONNECTION_LIMIT,
    Fault.DEADLOCK,
    Fault.SERIALIZATION,
    Fault.LOCK_TIMEOUT,
    Fault.STATEMENT_TIMEOUT,
    Fault.IDLE_HOLDER,
    Fault.LOCKED_ROADMAP,
    Fault.RESTORED,
    Fault.DISK_FULL,
    Fault.READ_ONLY,
    Fault.STALLED,
    Fault.FOREIGN_SQLSTATE,
    Fault.UNDECODABLE,
)

_CHECK = (Fault.CHECK_SLOW, Fault.CHECK_CRASHES, Fault.CHECK_WRONG, Fault.CHECK_TOO_LARGE)

IMPOSSIBLE: Mapping[Cell, str] = {
    **{Cell(Step.START, fault): _NO_DATABASE for fault in _DATABASE},
    **{
        Cell(step, fault): _NO_S3
        for step in (Step.AWAIT_REDRIVE, Step.RETRY, Step.RECONCILE, Step.START)
        for fault in (Fault.S3_DENIED, Fault.S3_MISSING, Fault.S3_HALF, Fault.S3_BUSY)
    },
    **{
        Cell(step, fault): "Only Save asks the check."
        for step in Step
        for fault in _CHECK
        if step is not Step.SAVE
    },
    Cell(
        Step.PLAN, Fault.S3_HALF
    ): "It only writes, and an incomplete upload creates no object: the same as S3 denies.",
    **{Cell(step, Fault.DEADLOCK): _ONE_LOCK for step in (Step.PLAN, Step.AWAIT_REDRIVE, Step.RETRY)},
    Cell(
        Step.GENERATE, Fault.DEADLOCK
    ): "It writes to one table only, in sorted order: two invocations cannot deadlock.",
    Cell(Step.GENERATE, Fault.SERIALIZATION): "It changes no row that another session changes.",
    **{
        Cell(step, Fault.LOCKED_ROADMAP): "It locks no roadmap."
        for step in (Step.PLAN, Step.GENERATE, Step.AWAIT_REDRIVE, Step.RETRY)
    },
    Cell(Step.SAVE, Fault.LOCKED_ROADMAP): "The row of its idle holder is the roadmap's.",
    **{
        Cell(
            step, Fault.RESTORED
        ): "The row does not name its attempt then: as when it is invoked again an hour later."
        for step in MACHINE
    },
    Cell(Step.SAVE, Fault.UNDECODABLE): "It reads no JSON and no timestamp of the product.",
    Cell(Step.SAVE, Fault.KILLED_BETWEEN): "It has one commit.",
    Cell(Step.FINALIZE, Fault.KILLED_BETWEEN): "With a plan, it has one commit.",
    Cell(Step.START, Fault.KILLED_BETWEEN): "It is one call.",
    **{
        Cell(step, fault): _NO_STATE
        for step in (Step.RETRY, Step.RECONCILE)
        for fault in (Fault.STOPPED, Fault.TIMED_OUT, Fault.REDRIVEN)
    },
    Cell(Step.START, Fault.STOPPED): "An execution that is stopped directly after its start: Plan's cell.",
    Cell(Step.START, Fault.TIMED_OUT): "It has started then: Plan's cell.",
    Cell(Step.START, Fault.REDRIVEN): "It has started then: Plan's cell.",
    Cell(Step.PLAN, Fault.LARGE_PAYLOAD): "Its input is a task's id and an attempt.",
    Cell(Step.PLAN, Fault.LARGE_RESULT): _SMALL,
    **{Cell(step, Fault.LARGE_PAYLOAD): _CONSTANT for step in (Step.GENERATE, Step.SAVE, Step.AWAIT_REDRIVE)},
    **{
        Cell(step, Fault.LARGE_RESULT): _CONSTANT
        for step in (Step.GENERATE, Step.SAVE, Step.FINALIZE, Step.AWAIT_REDRIVE)
    },
    Cell(Step.RETRY, Fault.LARGE_RESULT): "Its answer has counts only.",
    Cell(Step.RECONCILE, Fault.LARGE_RESULT): "A sweep reports at most 300 repairs of some 150 bytes.",
    Cell(Step.START, Fault.LARGE_PAYLOAD): "Its input is a task's id and an attempt.",
    Cell(Step.START, Fault.LARGE_RESULT): "Its answer is an ARN.",
}

STEPS = matrix.Matrix(Step, Fault, IMPOSSIBLE)
