"""Decide the next step of a recovery. No I/O.

A recovery retries its *canary*, the first tasks, before the others. Its *breaker* pauses it when too many of
the tasks that ended last have failed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from ...contracts.api.filters import OF_FAILURE
from ...contracts.errors import TaskCancelledError, TaskNotFoundError
from ...contracts.items import Failure
from ...contracts.states import RecoveryState, TaskResult
from ...state.failures.groups import group_of

BURST = timedelta(seconds=90)
"""The delay behind its rate that a recovery may catch up: longer than the time between two sweeps."""

LEAST_ENDED = 5
"""The tasks that must have ended before the time of the others is estimated."""

STARTING_STATES = frozenset({RecoveryState.WAITING, RecoveryState.CANARY, RecoveryState.RUNNING})
"""The states in which tasks are started."""

PAUSED_STATES = frozenset({RecoveryState.PAUSED, RecoveryState.PAUSED_BY_BREAKER})
"""The states from which a recovery can be resumed."""

FINAL_STATES = frozenset(
    {
        RecoveryState.STOPPED_BY_CANARY,
        RecoveryState.STOPPED_BY_BUDGET,
        RecoveryState.CANCELLED,
        RecoveryState.COMPLETED,
    }
)


@dataclass(frozen=True)
class RunningTask:
    """A task that a recovery has started, with its current state in the tables."""

    task_id: str
    exists: bool
    status: str | None
    ended: bool
    """Whether the recovery's attempt has ended; `outcome` and `tokens` are that attempt's."""

    outcome: str | None
    tokens: int
    top_reason: str | None
    """Code and reason of most of its failures that concern the recovery."""

    unsaved: int | None = None
    """The items of the attempt's scope that it has not saved; `None`: its scope is the whole task."""


@dataclass(frozen=True)
class Settlement:
    """The result of a task that is no longer running."""

    task_id: str
    result: TaskResult
    reason: str | None
    tokens: int


def settlement_of(task: RunningTask) -> Settlement | None:
    """The result of a started task; `None` while an attempt at it is running. If a newer attempt was started
    meanwhile, its outcome determines the result of the task.
    """
    if not task.exists:
        return Settlement(task.task_id, TaskResult.REFUSED, TaskNotFoundError.code, task.tokens)
    if not task.ended or task.status == "processing":
        return None
    if task.unsaved == 0 or (task.unsaved is None and task.status == "completed"):
        return Settlement(task.task_id, TaskResult.RECOVERED, None, task.tokens)
    cancelled = task.status == "cancelled"
    reason = TaskCancelledError.code if cancelled else task.top_reason or task.outcome
    return Settlement(task.task_id, TaskResult.STILL_FAILING, reason, task.tokens)


@dataclass(frozen=True)
class Progress:
    """The counts of a recovery, after its running tasks have been checked."""

    waiting: int
    """The tasks that were not started, at most the concurrency."""

    running: int
    tokens_used: int
    paid: int
    """Ended tasks that used tokens."""

    canary_waiting: int
    canary_running: int
    canary_ended: int
    """Canary tasks with an attempt that has ended."""

    canary_failed: int
    others_started: bool
    """Whether a task after the canary has been started: nobody needs to look at the canary again."""

    last_ended: int
    """The number of ended tasks, of those started since the last resume, that the breaker looks at."""

    last_failed: Sequence[Mapping[str, str]]
    """The failure groups of each of them that failed, the last one first: the text of each group by its id,
    the largest group first.
    """


@dataclass(frozen=True)
class Limits:
    """The limits that the request of a recovery has set."""

    rate_per_minute: int
    concurrency: int
    token_budget: int | None
    canary: int
    breaker: int = 0
    """The number of last ended tasks of which at most half may fail, and fewer than half in the same failure
    group; 0 for no breaker.
    """


LOOK_AT_CANARY = "The canary tasks have ended: look at what has changed, then resume; or cancel and undo"


def next_state(
    state: RecoveryState, limits: Limits, progress: Progress, *, pauses_after_canary: bool = False
) -> tuple[RecoveryState, str | None]:
    """The state after the running tasks have been checked, and the reason if the recovery stops or pauses.
    `pauses_after_canary`: so that a person can look at the canary's contents before the others are changed.
    """
    if state in FINAL_STATES or state in PAUSED_STATES:
        return state, None
    if state is RecoveryState.WAITING:
        state = RecoveryState.CANARY if limits.canary else RecoveryState.RUNNING
    if state is RecoveryState.CANARY and not progress.canary_waiting and not progress.canary_running:
        if 2 * progress.canary_failed > progress.canary_ended:
            return RecoveryState.STOPPED_BY_CANARY, (
                f"{progress.canary_failed} of {progress.canary_ended} canary tasks failed"
            )
        if pauses_after_canary and progress.waiting and not progress.others_started:
            return RecoveryState.PAUSED, LOOK_AT_CANARY
        state = RecoveryState.RUNNING
    if not progress.waiting and not progress.running:
        return RecoveryState.COMPLETED, None
    if progress.waiting and limits.breaker and (reason := break_reason(limits, progress)):
        return RecoveryState.PAUSED_BY_BREAKER, reason
    if progress.waiting and not progress.running and not affordable(limits, progress):
        return RecoveryState.STOPPED_BY_BUDGET, (
            f"{progress.tokens_used} of {limits.token_budget} tokens are used"
        )
    return state, None


def break_reason(limits: Limits, progress: Progress) -> str | None:
    """Why the breaker pauses the recovery; `None` if it does not.

    It pauses if more than half of the last ended tasks failed, once as many as it looks at have ended. It
    does not wait for them, and half is enough, if the last ones that failed have a failure group in common:
    one cause fails them, and the tasks that still wait would pay for it, too.
    """
    failed = len(progress.last_failed)
    share = f"{failed} of the last {progress.last_ended} tasks failed"
    # One failure is not a repetition.
    repeated = max(2, (limits.breaker + 1) // 2)
    if failed >= repeated and (common := _common_group(progress.last_failed[:repeated])):
        group_id, text = common
        return f"{share}, the last {repeated} of them in the same failure group {group_id}: {text}"
    if progress.last_ended >= limits.breaker and 2 * failed > progress.last_ended:
        return share
    return None


def _common_group(failed: Sequence[Mapping[str, str]]) -> tuple[str, str] | None:
    """Id and text of the first group of the first task that all other tasks have, too, if there is one."""
    first, *others = failed
    for group_id, text in first.items():
        if all(group_id in groups for groups in others):
            return group_id, text
    return None


def affordable(limits: Limits, progress: Progress) -> bool:
    """Whether the budget allows one more task. For each running task, and for the next one, the average of
    the previous ones is reserved. While no cost is known, one task runs at a time.
    """
    if limits.token_budget is None:
        return True
    if not progress.paid:
        return not progress.running
    expected = progress.tokens_used + progress.tokens_used / progress.paid * (progress.running + 1)
    return expected <= limits.token_budget


class Starts(NamedTuple):
    """The tasks that a recovery may start now."""

    number: int
    first_at: datetime
    """The time at which the rate permits the first of them: in the past, up to `BURST`, if the recovery is
    behind its rate. The rate permits the next one an `interval` later.
    """


def may_start(
    state: RecoveryState, limits: Limits, progress: Progress, next_start_at: datetime | None, now: datetime
) -> Starts:
    """Decide how many tasks a recovery may start now.

    Args:
        next_start_at: the time at which the rate permits the next start; `None` before the first one.
        now: the database's clock.
    """
    start_at = now if next_start_at is None else max(next_start_at, now - BURST)
    if state not in STARTING_STATES or not affordable(limits, progress) or start_at > now:
        return Starts(0, start_at)
    by_rate = (now - start_at) // interval(limits) + 1
    waiting = progress.canary_waiting if state is RecoveryState.CANARY else progress.waiting
    room = limits.concurrency - progress.running
    by_budget = waiting if limits.token_budget is None else 1  # `advance` repeats the step
    return Starts(max(0, min(by_rate, waiting, room, by_budget)), start_at)


def interval(limits: Limits) -> timedelta:
    """The time between two starts."""
    return timedelta(minutes=1) / limits.rate_per_minute


def has_ended(state: RecoveryState, progress: Progress) -> bool:
    """Whether a recovery starts no further task, and none of its tasks is running."""
    return state in FINAL_STATES and not progress.running


class Undone(StrEnum):
    """The effect of an undo of a regeneration on an item."""

    RESTORE = "restore"
    """Its former content is to be restored."""

    RESTORED = "restored"
    """It has been restored already."""

    NOT_REPLACED = "not_replaced"
    CHANGED_SINCE = "changed_since"
    """Something else than the regeneration wrote its content: it is left alone."""


def undo_of(before: str, current: str | None, restored_from: str | None, *, is_written: bool) -> Undone:
    """Decide the undo of one item of a regeneration.

    Args:
        before: the item's revision before the regeneration.
        current: its revision now; `None`: it has no content.
        restored_from: the revision that was restored as the current one; `None`: it is no restored one.
        is_written: whether the regeneration's attempt wrote the current content: also one that the undo of a
            later regeneration has restored.
    """
    if current == before:
        return Undone.NOT_REPLACED
    if restored_from == before:
        return Undone.RESTORED
    return Undone.RESTORE if is_written else Undone.CHANGED_SINCE


def time_left(ended: int, lately: int, left: int, elapsed: timedelta) -> tuple[timedelta, timedelta] | None:
    """Estimate the least and the most time that the other tasks take, at two measured speeds. `None`: too few
    tasks have ended.

    Args:
        ended: the tasks that have ended within `elapsed`, the time since the start or the last resume.
        lately: those of them that have ended in its later half.
        left: the tasks that have not ended.
    """
    if not left or ended < LEAST_ENDED:
        return None
    time_per_task = (elapsed / ended, elapsed / 2 / max(1, lately))
    return left * min(time_per_task), left * max(time_per_task)


def cause_of(conditions: Mapping[str, Any]) -> dict[str, str]:
    """The conditions on failures of a recovery's filter: it retries only items that meet them; if there are
    none, every missing item.
    """
    if conditions.get("all_missing"):
        return {}
    return {name: conditions[name] for name in OF_FAILURE if name in conditions}


def has_cause(failure: Failure, cause: Mapping[str, str]) -> bool:
    """Whether a failure meets all conditions of `cause_of`."""
    facts = {
        "group_id": group_of(failure).group_id,
        "error_code": failure.error_code,
        "content_type": failure.item.content_type,
    }
    return all(facts[name] == value for name, value in cause.items())
