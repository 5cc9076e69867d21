"""The turn of a failure group: that of its task which decides."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ...contracts.api.turn import Turn
from ...contracts.states import GroupState, Who
from ...state.recovering import recovery_of_task
from ...state.tasks.listing import ROADMAP_IS_DELETED
from ...state.tasks.next_actions import Advice
from ...state.tasks.turn import InRecovery, facts_in_list, turn_of

# The row of `facts_in_list` for a task `t`, with its latest attempt `a`, its entry in the queue `q`, and its
# recovery `w`.
_FACTS = f"""json_build_object('status', t.status, 'attempt', t.attempt, 'queue_state', q.state,
    'attempt_is_open', a.task_id IS NOT NULL AND a.ended_at IS NULL, 'next_at', a.next_at, 'grants', q.grants,
    'erased', t.attempt = 0 AND t.execution_arn IS NOT NULL, 'roadmap_is_deleted', {ROADMAP_IS_DELETED},
    'is_stopped', (SELECT stopped_reason IS NOT NULL FROM content_capacity),
    'recovery', CASE WHEN w.recovery_id IS NOT NULL
        THEN json_build_array(w.recovery_id, w.attempt, w.is_paused, w.regenerates) END)"""

# Whether `turn_of` calls a person for the same task. In the order of the branches: nobody acts for an erased
# user or a deleted roadmap; an open attempt needs a person only while a paused recovery holds it; a complete
# task, only if a paused recovery is to replace its items; the product or the sweep is at work; the sweep
# starts the next attempt; a recovery is to start the task; nothing will happen by itself.
_NEEDS_PERSON = f"""CASE
    WHEN t.attempt = 0 AND t.execution_arn IS NOT NULL OR {ROADMAP_IS_DELETED} THEN false
    WHEN a.ended_at IS NULL AND a.task_id IS NOT NULL AND NOT (t.status = 'cancelled' AND q.state = 'waiting')
        THEN q.state = 'waiting' AND w.is_paused AND w.attempt = t.attempt
    WHEN t.status = 'completed' THEN coalesce(w.is_paused AND w.regenerates AND w.attempt IS NULL, false)
    WHEN t.status = 'processing' OR t.status = 'pending' AND t.attempt > 0 THEN false
    WHEN a.next_at IS NOT NULL THEN false
    WHEN w.recovery_id IS NOT NULL AND w.attempt IS NULL AND NOT w.regenerates THEN w.is_paused
    ELSE t.status NOT IN ('cancelled', 'pending') END"""

MOST_LOOKED_AT = 200
"""The number of a group's oldest tasks, and of its newest, that are looked at: it may have 200,000. The
description of `FailureGroup.turn` has it, too.
"""


def _tasks(failures: str, waiting: str) -> str:
    """The tasks of a group `g` to look at. `failures`: a table or CTE; `waiting`: of `waiting_tasks`."""
    ends = " UNION ALL ".join(
        f"(SELECT o.task_id FROM {failures} o WHERE o.group_id = g.group_id"
        f" ORDER BY o.created_at {order}, o.task_id {order} LIMIT {MOST_LOOKED_AT})"
        for order in ("ASC", "DESC")
    )
    return f"""
FROM ({ends}) AS f JOIN roadmap_tasks t ON t.task_id = f.task_id
LEFT JOIN content_attempts a ON (a.task_id, a.attempt) = (t.task_id, t.attempt)
LEFT JOIN content_queue q ON (q.task_id, q.attempt) = (t.task_id, t.attempt)
LEFT JOIN LATERAL ({recovery_of_task(waiting, "t.task_id")}) AS w ON true
WHERE true"""


def needs_person(waiting: str) -> str:
    """Whether a task of a group `g` needs a person."""
    return f"EXISTS (SELECT {_tasks('content_task_failures', waiting)} AND {_NEEDS_PERSON})"


def deciding_task(failures: str, waiting: str) -> str:
    """The facts about the task that decides the turn of a group `g`: one that needs a person; without one,
    the one on which something acts first: an attempt, then the sweep, then a recovery.
    """
    tasks = _tasks(failures, waiting)
    return f"""coalesce((SELECT {_FACTS} {tasks} AND {_NEEDS_PERSON} LIMIT 1), (
    SELECT {_FACTS} {tasks} ORDER BY coalesce(a.ended_at IS NULL AND a.task_id IS NOT NULL, false) DESC,
        {ROADMAP_IS_DELETED}, a.next_at, w.recovery_id IS NULL, t.status = 'cancelled' LIMIT 1))"""


def turn_of_group(state: GroupState, task: Mapping[str, Any] | None, advice: Advice) -> Turn:
    """The turn of a failure group. `task`: the facts of `deciding_task`; `None` without a failure."""
    if task is None:
        return Turn(who=Who.NOBODY, why="None of its items is missing.")
    next_at = task["next_at"] and datetime.fromisoformat(task["next_at"])
    recovery = task["recovery"] and InRecovery(*task["recovery"])
    row = {**task, "next_at": next_at}
    turn = turn_of(facts_in_list(row, advice, recovery, is_stopped=task["is_stopped"]))
    if turn.who is not Who.PERSON:
        return turn
    if state is GroupState.IGNORED:
        return Turn(who=Who.NOBODY, why="It is ignored.")
    if turn.recovery_id is None and not advice.needs_person:
        return Turn(who=Who.PERSON, why="Start a recovery, or ignore it.")
    return turn
