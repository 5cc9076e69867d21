"""The states and causes that the tables and the API name."""

from enum import StrEnum

# Of the core.

UNFINISHED = frozenset({"pending", "processing"})
"""The statuses of a task that changes by itself. Another one changes only by a person's request."""


class QueueClass(StrEnum):
    """The class of an attempt. Bulk attempts come after interactive ones."""

    INTERACTIVE = "interactive"
    """A person waits for it."""

    BULK = "bulk"
    """The system started it: a recovery, or an automatic attempt."""

    BULK_PAUSED = "bulk_paused"
    """It waits, and is not in the order: its recovery is paused."""


class QueueState(StrEnum):
    """The state of a claimed attempt."""

    WAITING = "waiting"
    """It has no execution."""

    STARTING = "starting"
    """Admitted: its execution is started after the COMMIT, and by the sweep after a crash."""

    REDRIVING = "redriving"
    """As `STARTING`, for an execution that is redriven."""

    RUNNING = "running"
    """Its execution has planned it, or arrived by itself."""

    ENDED = "ended"
    """It has an outcome, or a later attempt has replaced it."""


class Cause(StrEnum):
    """How an attempt was started."""

    FIRST_RUN = "first_run"
    RETRY = "retry"
    CHECKPOINT = "checkpoint"
    CONSOLE_REDRIVE = "console_redrive"
    AUTOMATIC = "automatic"
    RECOVERY = "recovery"

    @property
    def queue_class(self) -> QueueClass:
        """The class in the queue: bulk for attempts that no person has requested one by one."""
        return QueueClass.BULK if self in (Cause.AUTOMATIC, Cause.RECOVERY) else QueueClass.INTERACTIVE


class ItemState(StrEnum):
    """The state of one item."""

    SAVED = "saved"
    STAGED = "staged"
    MISSING = "missing"
    REJECTED = "rejected"
    """Content is staged that an attempt has refused: the next one moves it to `rejected/`."""

    GENERATING = "generating"


class NextAction(StrEnum):
    """The action of the next attempt for an item."""

    NONE = "none"
    SAVE = "save"
    """The staged content can be saved as it is."""

    GENERATE = "generate"
    """Nothing is staged."""

    REPLACE_ID = "replace_id"
    """The staged content is valid, but its id belongs to another concept or roadmap."""

    NEXT_VERSION = "next_version"
    """The staged content is valid, but its version is taken by another text."""

    REJECT_AND_GENERATE = "reject_and_generate"
    """The staged content itself was refused: move it to `rejected/`."""

    WAIT = "wait"
    PERSON = "person"


class Who(StrEnum):
    """Who acts next."""

    RUNNING = "running"
    """An attempt, or the product, is at work."""

    WAITING = "waiting"
    """Its attempt waits for its place, or nothing has been started yet."""

    AUTOMATIC = "automatic"
    """The sweep, without a request."""

    PERSON = "person"
    """A person: nothing else will happen."""

    NOBODY = "nobody"
    """It is over."""


class Role(StrEnum):
    """A role, given by a scope of the token."""

    OWNER = "owner"
    """Sees and changes their own tasks."""

    VIEWER = "viewer"
    """Sees all tasks and changes nothing."""

    OPERATOR = "operator"
    """Sees and changes all tasks."""


# Of capabilities.


class GroupState(StrEnum):
    """The state of a failure group."""

    NEW = "new"
    REGRESSED = "regressed"
    ACKNOWLEDGED = "acknowledged"
    IGNORED = "ignored"
    RESOLVED = "resolved"


RINGING_STATES = (GroupState.NEW, GroupState.REGRESSED)
"""The states that call a person."""


class RecoveryState(StrEnum):
    """The state of a recovery."""

    WAITING = "waiting"
    CANARY = "canary"
    RUNNING = "running"
    PAUSED = "paused"
    PAUSED_BY_BREAKER = "paused_by_breaker"
    STOPPED_BY_CANARY = "stopped_by_canary"
    STOPPED_BY_BUDGET = "stopped_by_budget"
    CANCELLED = "cancelled"
    COMPLETED = "completed"


class TaskResult(StrEnum):
    """The result of one task of a recovery."""

    WAITING = "waiting"
    RUNNING = "running"
    RECOVERED = "recovered"
    STILL_FAILING = "still_failing"
    REFUSED = "refused"
