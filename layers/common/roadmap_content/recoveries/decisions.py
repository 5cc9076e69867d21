"""Decide the next step of a recovery. No I/O."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from ..errors import TaskCancelledError, TaskNotFoundError

TURN_SECONDS = 5
"""The time between two turns of a recovery. Each turn costs three transitions."""

MAX_TURNS = 1_500
"""Turns of one execution, about 10 history events each: a new execution starts long before 25,000 events."""

BURST = timedelta(seconds=2 * TURN_SECONDS)
"""The delay behind its rate that a recovery may catch up."""


class RecoveryState(StrEnum):
    """The state of a recovery."""

    WAITING = "waiting"
    CANARY = "canary"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED_BY_CANARY = "stopped_by_canary"
    STOPPED_BY_BUDGET = "stopped_by_budget"
    CANCELLED = "cancelled"
    COMPLETED = "completed"


STARTING_STATES = frozenset({RecoveryState.WAITING, RecoveryState.CANARY, RecoveryState.RUNNING})
"""The states in which tasks are started."""

FINAL_STATES = frozenset(
    {
        RecoveryState.STOPPED_BY_CANARY,
        RecoveryState.STOPPED_BY_BUDGET,
        RecoveryState.CANCELLED,
        RecoveryState.COMPLETED,
    }
)
"""The final states of a recovery."""


class TaskResult(StrEnum):
    """The result of one task of a recovery."""

    WAITING = "waiting"
    RUNNING = "running"
    RECOVERED = "recovered"
    STILL_FAILING = "still_failing"
    REFUSED = "refused"


@dataclass(frozen=True)
class RunningTask:
    """A task that a recovery has started, with its current state in the tables."""

    task_id: str
    attempt: int
    groups_before: Sequence[str]
    exists: bool
    status: str | None
    task_attempt: int | None
    ended: bool
    outcome: str | None
    tokens: int
    groups_after: Sequence[str]
    top_reason: str | None


@dataclass(frozen=True)
class Settlement:
    """The result of a task that is no longer running."""

    task_id: str
    result: TaskResult
    reason: str | None
    same_failures: bool
    tokens: int


def settle(task: RunningTask) -> Settlement | None:
    """The result of a started task; `None` while an attempt at it is running.

    If a newer attempt was started meanwhile, its outcome determines the result of the task.
    """
    if not task.exists:
        return Settlement(task.task_id, TaskResult.REFUSED, TaskNotFoundError.code, False, task.tokens)
    if not task.ended or task.status == "processing":
        return None
    if task.status == "completed":
        return Settlement(task.task_id, TaskResult.RECOVERED, None, False, task.tokens)
    cancelled = task.status == "cancelled"
    reason = TaskCancelledError.code if cancelled else task.top_reason or task.outcome
    same = bool(set(task.groups_before) & set(task.groups_after))
    return Settlement(task.task_id, TaskResult.STILL_FAILING, reason, same, task.tokens)


@dataclass(frozen=True)
class Progress:
    """The counts of a recovery, after its running tasks have been checked."""

    waiting: int
    running: int
    started: int
    """Tasks with an attempt that has ended."""

    tokens_used: int
    canary_waiting: int
    canary_running: int
    canary_ended: int
    canary_same: int
    """Canary tasks that failed again with a failure of the same group."""

    unconfirmed: int = 0
    """Running tasks with a claimed attempt that may not be started: the turn may have crashed in between."""

    canary_unconfirmed: int = 0

    def to_start(self, state: RecoveryState) -> "Progress":
        """The counts for a decision: an unconfirmed task waits, if another turn may start it."""
        if state not in STARTING_STATES:
            return self
        return replace(
            self,
            waiting=self.waiting + self.unconfirmed,
            running=self.running - self.unconfirmed,
            canary_waiting=self.canary_waiting + self.canary_unconfirmed,
            canary_running=self.canary_running - self.canary_unconfirmed,
        )


@dataclass(frozen=True)
class Limits:
    """The limits of a recovery."""

    rate_per_minute: int
    concurrency: int
    token_budget: int | None
    canary: int


def next_state(state: RecoveryState, limits: Limits, progress: Progress) -> tuple[RecoveryState, str | None]:
    """The state after a turn's observations, and the reason if the recovery stops."""
    progress = progress.to_start(state)
    if state in FINAL_STATES or state is RecoveryState.PAUSED:
        return state, None
    if state is RecoveryState.WAITING:
        state = RecoveryState.CANARY if limits.canary else RecoveryState.RUNNING
    if state is RecoveryState.CANARY and not progress.canary_waiting and not progress.canary_running:
        if 2 * progress.canary_same > progress.canary_ended:
            return RecoveryState.STOPPED_BY_CANARY, (
                f"{progress.canary_same} of {progress.canary_ended} canary tasks failed with the same reason"
            )
        state = RecoveryState.RUNNING
    if progress.waiting and not progress.running and not affordable(limits, progress):
        return RecoveryState.STOPPED_BY_BUDGET, (
            f"{progress.tokens_used} of {limits.token_budget} tokens are used"
        )
    if not progress.waiting and not progress.running:
        return RecoveryState.COMPLETED, None
    return state, None


def affordable(limits: Limits, progress: Progress) -> bool:
    """Whether the budget allows one more task, if it uses the average number of tokens of the previous
    ones.
    """
    if limits.token_budget is None:
        return True
    usual = progress.tokens_used / progress.started if progress.started else 0
    expected = progress.tokens_used + usual * (progress.running + 1)
    return progress.tokens_used < limits.token_budget and expected <= limits.token_budget


def may_start(
    state: RecoveryState, limits: Limits, progress: Progress, next_start_at: datetime | None, now: datetime
) -> tuple[int, datetime]:
    """The number of tasks that may be started now, and the start time for the rate."""
    progress = progress.to_start(state)
    earliest = now - BURST
    start_at = now if next_start_at is None else max(next_start_at, earliest)
    if state not in STARTING_STATES or not affordable(limits, progress) or start_at > now:
        return 0, start_at
    by_rate = (now - start_at) // interval(limits) + 1
    waiting = progress.canary_waiting if state is RecoveryState.CANARY else progress.waiting
    room = limits.concurrency - progress.running
    if limits.token_budget is not None:
        by_rate = min(by_rate, max(1, limits.concurrency // 4))  # check their cost before starting more
    return max(0, min(by_rate, waiting, room)), start_at


def interval(limits: Limits) -> timedelta:
    """The time between two starts."""
    return timedelta(minutes=1) / limits.rate_per_minute


def is_over(state: RecoveryState, progress: Progress) -> bool:
    """Whether every task has a result and no task is running."""
    return state in FINAL_STATES and not progress.running
