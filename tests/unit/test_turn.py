"""The turn, for every combination of facts."""

from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest

from roadmap_content.capabilities.failure_groups.turns import turn_of_group
from roadmap_content.contracts.errors import TokenBudgetExhaustedError
from roadmap_content.contracts.items import Stage
from roadmap_content.contracts.states import GroupState, QueueState, Who
from roadmap_content.state.tasks.next_actions import advice_for
from roadmap_content.state.tasks.turn import InRecovery, TaskFacts, turn_of, worst

SOON = datetime(2026, 12, 2, 9, 17, tzinfo=UTC)
TRANSIENT = advice_for("ModelBusyError", Stage.GENERATE)
BUDGET = advice_for(TokenBudgetExhaustedError.code, Stage.GENERATE)
FAILED: dict[str, Any] = dict(
    zip(("status", "attempt", "queue_state", "attempt_is_open"), ("failed", 1, "ended", False), strict=True),
    **dict.fromkeys(("next_at", "erased", "roadmap_is_deleted", "grants", "is_stopped", "recovery")),
)
"""The facts of a group's task that failed."""

STATUSES = ("pending", "processing", "completed", "partial_failure", "failed", "cancelled")
EVERY = [
    TaskFacts(*each)
    for each in product(
        STATUSES,
        (0, 1),
        (None, *QueueState),
        (None, SOON),
        (False, True),
        (None, TRANSIENT, BUDGET),
        (False, True),
    )
]


@pytest.mark.parametrize("status", STATUSES)
def test_a_turn_follows_from_the_facts(status: str) -> None:
    """Missing items need a person if nothing is at work on them or will be."""
    for facts in (each for each in EVERY if each.status == status):
        turn = turn_of(facts)
        is_over = facts.state in (None, QueueState.ENDED)
        assert (turn.at is not None) <= (turn.who is Who.AUTOMATIC)
        assert (turn.who is Who.NOBODY) >= facts.is_erased
        if not facts.is_erased and not is_over:
            assert turn.who is (Who.WAITING if facts.state is QueueState.WAITING else Who.RUNNING)
        needs = is_over and facts.is_missing and not facts.is_erased and facts.next_at is None
        is_final = status in ("failed", "partial_failure") or (status == "completed" and not facts.attempt)
        assert (turn.who is Who.PERSON) == (needs and is_final)
        is_record_right = not facts.attempt or facts.is_missing != (status == "completed")
        if status in ("failed", "partial_failure", "completed") and is_over and not facts.is_erased:
            assert is_record_right or turn.who is Who.AUTOMATIC
        assert turn.why


def test_a_person_is_told_what_to_do_first() -> None:
    facts = TaskFacts("failed", 1, QueueState.ENDED, None, True, worst([TRANSIENT, BUDGET, TRANSIENT]))
    assert turn_of(facts).why == "Raise TaskTokenBudget, then retry."
    assert turn_of(facts._replace(advice=TRANSIENT)).why == "Retry it."
    assert turn_of(facts._replace(state=QueueState.RUNNING, is_stopped=True)).who is Who.WAITING


@pytest.mark.parametrize(
    ("changed", "who", "is_named"),
    [
        ({}, Who.WAITING, True),
        ({"is_paused": True}, Who.PERSON, True),
        ({"status": "cancelled"}, Who.WAITING, True),
        ({"status": "pending", "attempt": 0, "state": None, "is_paused": True}, Who.PERSON, True),
        ({"next_at": SOON, "is_paused": True}, Who.AUTOMATIC, False),
        ({"is_erased": True}, Who.NOBODY, False),
        ({"roadmap_is_deleted": True, "is_paused": True}, Who.NOBODY, False),
        ({"roadmap_is_deleted": True, "next_at": SOON}, Who.NOBODY, False),
        ({"roadmap_is_deleted": True, "state": QueueState.WAITING, "started": 1}, Who.AUTOMATIC, False),
        ({"roadmap_is_deleted": True, "status": "processing"}, Who.AUTOMATIC, False),
        ({"status": "completed", "is_missing": False}, Who.NOBODY, False),
        ({"status": "completed", "is_missing": False, "regenerates": True}, Who.WAITING, True),
        ({"regenerates": True}, Who.PERSON, False),
        ({"state": QueueState.WAITING, "is_paused": True, "started": 1}, Who.PERSON, True),
        ({"state": QueueState.WAITING, "is_paused": True}, Who.WAITING, False),
        ({"state": QueueState.RUNNING, "is_paused": True, "started": 1}, Who.RUNNING, False),
        ({"is_paused": True, "started": 1}, Who.PERSON, False),
    ],
)
def test_the_turn_of_a_task_in_a_recovery(changed: dict[str, Any], who: Who, *, is_named: bool) -> None:
    """`started`: the attempt that the recovery has started."""
    started, is_paused = changed.get("started"), changed.get("is_paused", False)
    fields = {name: value for name, value in changed.items() if name in TaskFacts._fields}
    facts = TaskFacts("failed", 1, QueueState.ENDED, None, is_missing=True, advice=TRANSIENT)
    recovery = InRecovery("rec-1", started, is_paused, changed.get("regenerates", False))
    turn = turn_of(facts._replace(recovery=recovery, **fields))
    assert (turn.who, turn.recovery_id is not None) == (who, is_named)


@pytest.mark.parametrize(
    ("state", "fact", "who"),
    [
        (GroupState.NEW, {}, Who.PERSON),
        (GroupState.REGRESSED, {"next_at": SOON.isoformat()}, Who.AUTOMATIC),
        (GroupState.ACKNOWLEDGED, {}, Who.PERSON),
        (GroupState.NEW, {"status": "cancelled"}, Who.NOBODY),
        (GroupState.IGNORED, {}, Who.NOBODY),
        (GroupState.RESOLVED, None, Who.NOBODY),
    ],
)
def test_the_turn_of_a_group(state: GroupState, fact: dict[str, Any] | None, who: Who) -> None:
    assert turn_of_group(state, None if fact is None else FAILED | fact, TRANSIENT).who is who
