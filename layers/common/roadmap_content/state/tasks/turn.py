"""The turn of a task: who acts next, when, and why. No I/O."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from ...contracts.api.turn import Turn
from ...contracts.states import UNFINISHED, QueueState, Who
from .next_actions import Advice
from .task import state_of


class InRecovery(NamedTuple):
    """A task's place in a recovery that has not ended."""

    recovery_id: str
    attempt: int | None
    """The attempt of the recovery; `None`: the task waits for one."""

    is_paused: bool

    regenerates: bool
    """Whether the recovery replaces saved items, and leaves missing ones."""

    def holds(self, attempt: int) -> bool:
        return self.is_paused and self.attempt == attempt

    def acts_next(self, facts: "TaskFacts") -> bool:
        """Whether the recovery acts next for the task: it has yet to start the task, and a regeneration
        does nothing about missing items.
        """
        return self.attempt is None and facts.is_missing != self.regenerates


class TaskFacts(NamedTuple):
    """The facts that decide a task's turn: fields of `Task`, and the state of its items."""

    status: str
    attempt: int
    state: QueueState | None
    next_at: datetime | None

    is_missing: bool
    """Whether items are missing, or concepts are left out."""

    advice: Advice | None
    """For the missing items; `None` if nothing is known about it."""

    is_erased: bool = False
    """Whether the data of its user was erased since its last claim."""

    roadmap_is_deleted: bool = False
    """Whether its roadmap was deleted: nothing is started for it, and the sweep leaves it as it is."""

    grants: int | None = None
    """The batches that its attempt may generate at once: 0 if its plan has found all items staged."""

    is_stopped: bool = False
    """Whether an operator has stopped generation."""

    sign_at: datetime | None = None
    """The last sign of an attempt at work."""

    recovery: InRecovery | None = None


def facts_in_list(
    row: Mapping[str, Any], advice: Advice | None, recovery: InRecovery | None, *, is_stopped: bool
) -> TaskFacts:
    """The facts of a task in a list, which reads no contents: the missing items follow from its status."""
    return TaskFacts(
        status=row["status"],
        attempt=row["attempt"],
        state=state_of(row["status"], row["attempt"], row["queue_state"], is_open=row["attempt_is_open"]),
        next_at=row["next_at"],
        is_missing=row["status"] != "completed",
        advice=advice,
        is_erased=row["erased"],
        roadmap_is_deleted=row["roadmap_is_deleted"],
        grants=row["grants"],
        is_stopped=is_stopped,
        recovery=recovery,
    )


def turn_of(facts: TaskFacts) -> Turn:
    """The turn of a task."""
    if facts.is_erased:
        return Turn(who=Who.NOBODY, why="The data of its user was erased.")
    if facts.state not in (None, QueueState.ENDED):
        return _of_attempt(facts)
    if facts.roadmap_is_deleted and facts.status != "processing":  # otherwise the sweep ends it first
        return Turn(who=Who.NOBODY, why="Its roadmap is deleted.")
    recovery = facts.recovery if facts.recovery is not None and facts.recovery.acts_next(facts) else None
    # A recovery starts also a pending task of the product.
    if facts.status in UNFINISHED and (facts.attempt > 0 or facts.status == "processing" or not recovery):
        return _of_unfinished(facts)
    if facts.status == "cancelled" and recovery is None:
        return Turn(who=Who.NOBODY, why="It was cancelled. A retry starts it again.")
    if facts.is_missing and facts.next_at is not None:
        return Turn(who=Who.AUTOMATIC, at=facts.next_at, why="The sweep starts the next attempt.")
    if facts.attempt > 0 and facts.is_missing == (facts.status == "completed"):  # a contradiction
        return Turn(who=Who.AUTOMATIC, why="The sweep corrects the task's record.")
    if recovery is not None:
        return _of_recovery(recovery)
    if facts.is_missing:
        needs = facts.advice is not None and facts.advice.needs_person
        return Turn(who=Who.PERSON, why=facts.advice.text if facts.advice and needs else "Retry it.")
    return Turn(who=Who.NOBODY, why="Nothing is missing.")


def _of_attempt(facts: TaskFacts) -> Turn:
    """The turn of a task with an attempt that waits or works."""
    if facts.status == "cancelled" and facts.state is not QueueState.WAITING:
        return Turn(who=Who.RUNNING, at=facts.sign_at, why="It was cancelled. Its run is being stopped.")
    waits = facts.state is QueueState.WAITING
    if waits and facts.roadmap_is_deleted:
        return Turn(who=Who.AUTOMATIC, why="The sweep ends its attempt: its roadmap is deleted.")
    if waits and facts.recovery is not None and facts.recovery.holds(facts.attempt):
        return _of_recovery(facts.recovery)
    if facts.is_stopped and (waits or facts.grants != 0):  # what is staged needs no model: it is saved
        return Turn(who=Who.WAITING, why="An operator has stopped generation.")
    if waits:
        return Turn(who=Who.WAITING, why="Its attempt waits for a slot.")
    return Turn(who=Who.RUNNING, at=facts.sign_at, why="An attempt is at work.")


def _of_recovery(recovery: InRecovery) -> Turn:
    """The turn of a task that its recovery starts."""
    if recovery.is_paused:
        why = "Resume or cancel its recovery."
        return Turn(who=Who.PERSON, why=why, recovery_id=recovery.recovery_id)
    return Turn(who=Who.WAITING, why="It waits in a recovery.", recovery_id=recovery.recovery_id)


def _of_unfinished(facts: TaskFacts) -> Turn:
    """The turn of a task without such an attempt, in a status that is not final."""
    if facts.attempt > 0:
        return Turn(who=Who.AUTOMATIC, why="The sweep records the outcome of its attempt.")
    if facts.status == "processing":
        return Turn(who=Who.RUNNING, why="The product is at work on it.")
    return Turn(who=Who.WAITING, why="Neither the product nor a person has started it.")


def worst(advices: Iterable[Advice]) -> Advice | None:
    """The advice that decides: one that needs a person before the others."""
    return max(advices, key=lambda advice: advice.needs_person, default=None)
