"""The answers of the routes of failure groups: current failures by group, with the next attempt's action for
each; one group with its history; and the failures of the last days, also those that have healed.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from ...api.pages import Integer, Text, decode_cursor, page_of
from ...contracts.api.failures import (
    MOST_CHANGES,
    FailureGroup,
    FailureGroupDetail,
    FailureHistory,
    FailurePage,
)
from ...contracts.api.filters import TaskFilter
from ...contracts.api.recoveries import RecoveryAnswer
from ...contracts.items import Stage
from ...contracts.reasons import sentence_of
from ...contracts.states import GroupState
from ...state.recovering import waiting_tasks
from ...state.services import Capability
from ...state.tasks.next_actions import advice_for
from .lists import HEALED, HOURS, read_group, read_groups
from .states import group_changes
from .turns import turn_of_group


def list_failures(
    connection: Connection,
    capabilities: Sequence[Capability],
    task_filter: TaskFilter,
    states: Sequence[GroupState],
    cursor: str | None,
    limit: int,
) -> FailurePage:
    """Read a page of the groups of current failures of the tasks that a filter selects, in any of `states`.
    Raises InvalidCursorError: the cursor belongs to another list.
    """
    list_name = f"failures {task_filter.fingerprint} {' '.join(sorted(states))}".strip()
    after = decode_cursor(list_name, cursor, tuple[Integer, Text])
    found = read_groups(connection, waiting_tasks(capabilities), task_filter, states, after, limit + 1)
    rows, next_cursor = page_of(list_name, found, limit, lambda row: [row.items, row.group_id])
    return FailurePage(
        items=[FailureGroup.model_validate(_fields(row)) for row in rows], next_cursor=next_cursor
    )


def describe_group(
    connection: Connection,
    capabilities: Sequence[Capability],
    group_id: str,
    recoveries: Sequence[RecoveryAnswer],
) -> FailureGroupDetail:
    """Read a group with its history; `recoveries` are its latest ones.
    Raises FailureGroupNotFoundError: there is no such group.
    """
    fields = _fields(read_group(connection, waiting_tasks(capabilities), group_id))
    return FailureGroupDetail.model_validate(
        fields
        | {
            "changes": [row._mapping for row in group_changes(connection, group_id, MOST_CHANGES)],
            "recoveries": recoveries,
        }
    )


def describe_history(connection: Connection, days: int) -> FailureHistory:
    """Read the failures of the last days, and the groups that have healed."""
    # Whole hours: the present one, and those before it.
    since = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=24 * days - 1)
    healed = [
        {**row._mapping, "sentence": sentence_of(row.error_code)}
        for row in connection.execute(HEALED, {"since": since})
    ]
    hours = [row._mapping for row in connection.execute(HOURS, {"since": since})]
    return FailureHistory.model_validate({"since": since, "hours": hours, "healed": healed})


def _fields(row: Any) -> dict[str, Any]:  # noqa: ANN401 - a SQLAlchemy row
    """The fields of a `FailureGroup`, from a row of `read_groups`."""
    advice = advice_for(row.error_code, Stage(row.stage))
    example = {
        "task_id": row.example_task_id,
        "concept_id": row.example_concept_id,
        "content_type": row.example_type,
        "reason": row.example_reason,
    }
    return {
        **row._mapping,
        "sentence": sentence_of(row.error_code),
        "example": None if row.example_task_id is None else example,
        "remedy": advice.action,
        "remedy_text": advice.text,
        "turn": turn_of_group(GroupState(row.state), row.deciding, advice),
        "state_by": row.actor,
        "state_at": row.changed_at,
        "ignored_until": row.until,
        "ignored_until_tasks": row.until_tasks,
        "by_hour": row.by_hour or [],
    }
