"""The history of a task.

- `GET /api/v1/tasks/{task_id}/attempts`: the audit trail
- `GET /api/v1/tasks/{task_id}/changes`: the changes, in order, each once. The feed reads the outbox, whether
  or not an event bus is configured: one index lookup, and no request to AWS.
"""

import json
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection

from ..contracts.api.tasks import AttemptPage, AttemptRow, Change, ChangePage
from ..contracts.states import UNFINISHED
from ..contracts.times import utc
from ..platform.aws.executions import execution_url
from ..state.outbox import RecordedEvent, events_of_task
from ..state.tasks.attempt_reading import read_attempts
from ..state.tasks.scope import scope_from
from ..state.tasks.task import Task, read_task
from .pages import Integer, Moment, decode_cursor, encode_cursor, first_that_fit, page_of

_BEFORE_ALL = 2**31 - 1

POLL_SECONDS, POLL_SECONDS_AT_REST = 2, 30
"""The pause before the next request: of a task at work, and of a finished one."""

WAITING_SHARE = 0.1
"""The pause of a task that waits in the queue, between both, as a share of the time that it has waited. The
number of tasks at work is limited, the number of waiting ones is not: they are polled rarely.
"""


def list_attempts(
    connection: Connection, task_id: str, user_id: str | None, cursor: str | None, limit: int
) -> AttemptPage:
    """Read a page of a task's attempts; with `user_id`, only of that user's task.

    Raises:
        TaskNotFoundError: there is no such task.
        InvalidCursorError: the cursor belongs to another list.
    """
    read_task(connection, task_id, user_id)
    list_name = f"attempts {task_id}"
    (before,) = decode_cursor(list_name, cursor, tuple[Integer]) or (_BEFORE_ALL,)
    found = read_attempts(connection, task_id, min(before, _BEFORE_ALL), limit + 1)
    rows, next_cursor = page_of(list_name, found, limit, lambda row: [row.attempt])
    return AttemptPage(items=[_attempt(row) for row in rows], next_cursor=next_cursor)


def _attempt(row: Any) -> AttemptRow:  # noqa: ANN401 - a SQLAlchemy row
    not_started = None
    if row.saved:
        not_started = {name: row.planned[name] - row.saved[name] - row.failed[name] for name in row.planned}
    derived = {
        "scope": None if row.scope is None else scope_from(row.scope)._asdict(),
        "execution_url": execution_url(row.execution_arn),
        "not_started": not_started,
        # Empty: unknown, because the roadmap could not be read.
        **{name: row._mapping[name] or None for name in ("planned", "saved", "failed")},
    }
    return AttemptRow.model_validate({**row._mapping, **derived})


def list_changes(
    connection: Connection, task_id: str, user_id: str | None, after: str | None, limit: int
) -> tuple[ChangePage, int]:
    """Read the changes of a task after a cursor; with `user_id`, only of that user's task. If the change of
    the cursor does not exist any more, they are read from the first one. Return, too, the number of seconds
    after which the next request is useful.

    Raises:
        TaskNotFoundError: there is no such task.
        InvalidCursorError: the cursor belongs to another task.
    """
    list_name = f"changes {task_id}"
    key = decode_cursor(list_name, after, tuple[Integer, Moment])
    task = read_task(connection, task_id, user_id)
    found = events_of_task(connection, task_id, 0 if key is None else key[0], limit + 2)
    restarted = key is not None and key not in [(event.position, event.recorded_at) for event in found[:1]]
    if restarted:
        after, found = None, events_of_task(connection, task_id, 0, limit + 1)
    elif key is not None:
        found = found[1:]
    changes = (_change(list_name, event) for event in found[:limit])
    items = list(first_that_fit(changes, lambda change: change.model_dump(mode="json")))
    more = len(found) > len(items)
    last = items[-1].cursor if items else after
    page = ChangePage(items=items, next_cursor=last, status=task.status, more=more, restarted=restarted)
    return page, 0 if more else pause_of(task, datetime.now(UTC))


def pause_of(task: Task, now: datetime) -> int:
    """The number of seconds after which the task may have changed. No I/O."""
    if task.status not in UNFINISHED:
        return POLL_SECONDS_AT_REST
    if not task.is_waiting:
        return POLL_SECONDS
    waited = (now - utc(task.claimed_at)).total_seconds()
    return max(POLL_SECONDS, min(POLL_SECONDS_AT_REST, round(WAITING_SHARE * waited)))


def _change(list_name: str, event: RecordedEvent) -> Change:
    detail = json.loads(event.detail)
    return Change(
        cursor=encode_cursor(list_name, [event.position, event.recorded_at]),
        id=event.event_id,
        type=event.detail_type,
        time=detail["metadata"]["time"],
        data=detail["data"],
    )
