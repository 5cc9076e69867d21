"""`GET /api/v1/failures`: current failures by group, with the next attempt's action for each."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from ..contracts.api.failures import FailureExample, FailureGroup, FailurePage
from ..contracts.api.recoveries import TaskFilter
from ..contracts.items import Stage
from ..contracts.reasons import sentence_of
from ..contracts.states import GroupState
from ..contracts.times import utc
from ..state.failures.group_listing import read_groups
from ..state.tasks.next_actions import advice_for
from .cursors import decode_cursor, encode_cursor, integer, text


def list_failures(
    connection: Connection,
    task_filter: TaskFilter,
    states: Sequence[GroupState],
    cursor: str | None,
    limit: int,
) -> FailurePage:
    """Read a page of the groups of current failures of the tasks that a filter selects, in any of `states`.

    Raises:
        InvalidCursorError: the cursor belongs to another list.
    """
    list_name = f"failures {task_filter.fingerprint} {' '.join(sorted(states))}".strip()
    after = decode_cursor(list_name, cursor, integer, text)
    rows: Sequence[Any] = read_groups(connection, task_filter, states, after, limit + 1)
    shown = rows[:limit]
    return FailurePage(
        items=[FailureGroup(**group_fields(row)) for row in shown],
        next_cursor=encode_cursor(list_name, [shown[-1].items, shown[-1].group_id])
        if len(rows) > limit
        else None,
    )


def group_fields(row: Any) -> dict[str, Any]:  # noqa: ANN401 - a SQLAlchemy row
    """The fields of a `FailureGroup`, from a row of `read_groups`."""
    advice = advice_for(row.error_code, Stage(row.stage))
    return {
        "group_id": row.group_id,
        "error_code": row.error_code,
        "sentence": sentence_of(row.error_code),
        "stage": row.stage,
        "reason": row.reason,
        "example": None
        if row.example_task_id is None
        else FailureExample(
            task_id=row.example_task_id,
            concept_id=row.example_concept_id,
            content_type=row.example_type,
            reason=row.example_reason,
        ),
        "tasks": row.tasks,
        "items": row.items,
        "by_type": row.by_type,
        "first_seen": utc(row.first_seen),
        "last_seen": utc(row.last_seen),
        "transient": row.transient,
        "remedy": advice.action,
        "remedy_text": advice.text,
        "needs_person": advice.needs_person,
        "state": row.state,
        "state_by": row.actor,
        "state_at": utc(row.changed_at),
        "note": row.note,
        "ignored_until": utc(row.until),
        "ignored_until_tasks": row.until_tasks,
        "by_hour": [(utc(datetime.fromisoformat(hour)), items) for hour, items in row.by_hour or []],
    }
