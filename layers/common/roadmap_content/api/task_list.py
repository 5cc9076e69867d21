"""`GET /api/v1/tasks`: a page of tasks, read without counting the other pages."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from ..contracts.api.filters import TaskFilter
from ..contracts.api.tasks import ItemTotals, TaskPage, TaskRow, TopReason
from ..contracts.items import ContentType, Stage
from ..contracts.reasons import sentence_of
from ..state.queue.capacity import read_capacity
from ..state.recovering import read_recoveries_of
from ..state.services import Capability
from ..state.tasks.counting import count_tasks
from ..state.tasks.listing import Key, read_page, select_tasks
from ..state.tasks.next_actions import advice_for
from ..state.tasks.turn import InRecovery, facts_in_list, turn_of, worst
from .pages import LocalTime, Text, decode_cursor, encode_cursor


def list_tasks(
    connection: Connection,
    capabilities: Sequence[Capability],
    task_filter: TaskFilter,
    cursor: str | None,
    limit: int,
) -> TaskPage:
    """Read a page of the selected tasks. Raises InvalidCursorError: the cursor belongs to another list."""
    list_name = f"tasks {task_filter.fingerprint}"
    key = decode_cursor(list_name, cursor, tuple[LocalTime, Text])
    selection = select_tasks(connection, task_filter)
    page = read_page(connection, selection, None if key is None else Key(*key), limit)
    total = count_tasks(connection, selection)
    recoveries = read_recoveries_of(connection, capabilities, [row.task_id for row in page.rows])
    is_stopped = read_capacity(connection).stop is not None
    return TaskPage(
        items=[
            _task_row(row, recoveries.get(row.task_id), task_filter.by_failure, is_stopped=is_stopped)
            for row in page.rows
        ],
        next_cursor=None if page.next_key is None else encode_cursor(list_name, page.next_key),
        total=total.tasks,
        total_is_exact=total.is_exact,
    )


def _task_row(
    row: Any,  # noqa: ANN401 - a SQLAlchemy row
    recovery: InRecovery | None,
    by_failure: Mapping[str, str],
    *,
    is_stopped: bool,
) -> TaskRow:
    """A row of the list. The list reads no contents: the missing items follow from the task's records.
    `by_failure`: the list's conditions on failures, which its reason meets.
    """
    groups = row.groups or []
    advice = worst(advice_for(group["error_code"], Stage(group["stage"])) for group in groups)
    facts = facts_in_list(row._mapping, advice, recovery, is_stopped=is_stopped)
    derived = {
        "progress": item_totals(row.execution_summary),
        "top_reason": _top_reason(
            [group for group in groups if by_failure.items() <= group.items()] or groups
        ),
        "turn": turn_of(facts),
    }
    return TaskRow.model_validate({**row._mapping, **derived})


def _top_reason(groups: Sequence[Mapping[str, Any]]) -> TopReason | None:
    """The reason of most failed items."""
    sums: Counter[tuple[str, str, str]] = Counter()
    for group in groups:  # a group has a row for each content type
        sums[group["error_code"], group["stage"], group["reason"]] += group["items"]
    if not sums:
        return None
    (error_code, stage, reason), items = sums.most_common(1)[0]
    group = {"error_code": error_code, "stage": stage, "reason": reason, "items": items}
    return TopReason.model_validate(group | {"sentence": sentence_of(error_code)})


def item_totals(execution_summary: str | None) -> ItemTotals | None:
    """The counts of an `execution_summary`; `None` if this system did not write it."""
    try:
        summary = json.loads(execution_summary or "null")
        # A task from before a type was added has no counts of it.
        counts = [summary[content_type] for content_type in ContentType if content_type in summary]
        total, saved, failed = (
            sum(count[name] for count in counts) for name in ("total", "completed", "failed")
        )
        totals = ItemTotals(total=total, saved=saved, missing=max(0, total - saved), failed=failed)
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    return totals if counts else None
