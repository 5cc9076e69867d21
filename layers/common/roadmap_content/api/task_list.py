"""`GET /api/v1/tasks`: a page of tasks, read without counting the other pages."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from ..contracts.items import ContentType, Stage
from ..contracts.payloads import Count, Payload
from ..contracts.reasons import sentence_of
from ..platform.postgres.times import utc
from ..state.tasks.counting import count_tasks
from ..state.tasks.listing import Key, TaskFilter, read_page, select_tasks
from ..state.tasks.next_actions import advice_for
from .cursors import decode_cursor, encode_cursor, moment, text


class ItemTotals(Payload):
    """The items of all content types together at the last outcome: total = saved + missing.

    Of the missing ones, `failed` have a recorded failure; a cancelled attempt has not started the others.
    """

    total: Count
    saved: Count
    missing: Count
    failed: Count


class TopReason(Payload):
    """The largest group of a task's current failures."""

    error_code: str
    sentence: str | None
    stage: Stage
    reason: str
    items: Count


class TaskRow(Payload):
    """One task of a list."""

    task_id: str
    roadmap_id: str | None
    title: str | None
    user_id: str
    status: str
    current_step: str | None
    attempt: Count
    updated_at: datetime
    created_at: datetime
    completed_at: datetime | None
    progress: ItemTotals | None
    top_reason: TopReason | None
    needs_person: bool
    ours: bool


class TaskPage(Payload):
    """A page of tasks, newest first.

    A page with a rare combination of filters may have fewer rows than `limit`, or none, although the list
    continues at `next_cursor`.
    """

    items: list[TaskRow]
    next_cursor: str | None
    total: Count
    total_is_exact: bool
    """If false, `total` is an estimate: counting would read too many tasks."""


def list_tasks(connection: Connection, task_filter: TaskFilter, cursor: str | None, limit: int) -> TaskPage:
    """Read a page of the tasks that a filter selects.

    Raises:
        InvalidCursorError: the cursor belongs to another list.
    """
    # "by row": cursors of earlier releases contained a time in UTC.
    list_name = f"tasks by row {task_filter.fingerprint}"
    key = decode_cursor(list_name, cursor, moment, text)
    selection = select_tasks(connection, task_filter)
    page = read_page(connection, selection, None if key is None else Key(*key), limit)
    total = count_tasks(connection, selection)
    return TaskPage(
        items=[_task_row(row) for row in page.rows],
        next_cursor=None if page.next_key is None else encode_cursor(list_name, page.next_key),
        total=total.tasks,
        total_is_exact=total.is_exact,
    )


def _task_row(row: Any) -> TaskRow:  # noqa: ANN401 - a SQLAlchemy row
    groups = row.groups or []
    return TaskRow(
        task_id=row.task_id,
        roadmap_id=row.roadmap_id,
        title=row.title,
        user_id=row.user_id,
        status=row.status,
        current_step=row.current_step,
        attempt=row.attempt,
        updated_at=utc(row.updated_at),
        created_at=utc(row.created_at),
        completed_at=utc(row.completed_at),
        progress=item_totals(row.execution_summary),
        top_reason=_top_reason(groups),
        needs_person=any(advice_for(code, Stage(stage)).needs_person for code, stage, *_ in groups),
        ours=row.attempt > 0,
    )


def _top_reason(groups: Sequence[tuple[str, str, str, int]]) -> TopReason | None:
    sums: Counter[tuple[str, str, str]] = Counter()
    for error_code, stage, reason, items in groups:  # a group has a row for each content type
        sums[error_code, stage, reason] += items
    for (error_code, stage, reason), items in sums.most_common(1):
        return TopReason(
            error_code=error_code,
            sentence=sentence_of(error_code),
            stage=Stage(stage),
            reason=reason,
            items=items,
        )
    return None


def item_totals(execution_summary: str | None) -> ItemTotals | None:
    """The counts of an `execution_summary`; `None` if this system did not write it."""
    try:
        summary = json.loads(execution_summary or "null")
    except (ValueError, RecursionError):
        return None
    if not isinstance(summary, Mapping):
        return None
    # A task from before a type was added has no counts of it.
    counts = [summary[content_type] for content_type in ContentType if content_type in summary]
    if not counts or not all(map(_is_count, counts)):
        return None
    total, saved, failed = (sum(count[name] for count in counts) for name in ("total", "completed", "failed"))
    return ItemTotals(total=total, saved=saved, missing=max(0, total - saved), failed=failed)


def _is_count(value: object) -> bool:
    match value:
        case {"total": int(), "completed": int(), "failed": int()}:
            return True
        case _:
            return False
