"""`GET /api/v1/tasks/{task_id}/changes`: the changes of a task, in order, each once.

The feed reads the outbox, whether or not an event bus is configured: one index lookup, and no request to AWS.
"""

import json
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Connection

from ..contracts.api.tasks import Change, ChangePage
from ..contracts.states import UNFINISHED
from ..contracts.times import utc
from ..state.outbox import RecordedEvent, events_of_task
from ..state.tasks.task import Task, read_task
from .cursors import decode_cursor, encode_cursor, integer, moment
from .sizes import first_that_fit

POLL_SECONDS, POLL_SECONDS_AT_REST = 2, 30
"""The pause before the next request: of a task at work, and of a finished one."""

WAITING_SHARE = 0.1
"""The pause of a task that waits in the queue, between both, as a share of the time that it has waited. The
number of tasks at work is limited, the number of waiting ones is not: they are polled rarely.
"""


class Changes(NamedTuple):
    """A page, and the number of seconds after which the next request is useful."""

    page: ChangePage
    pause: int


def list_changes(
    connection: Connection, task_id: str, user_id: str | None, after: str | None, limit: int
) -> Changes:
    """Read the changes of a task after a cursor; with `user_id`, only of that user's task. If the change of
    the cursor does not exist any more, they are read from the first one.

    Raises:
        TaskNotFoundError: there is no such task.
        InvalidCursorError: the cursor belongs to another task.
    """
    list_name = f"changes {task_id}"
    key = decode_cursor(list_name, after, integer, moment)
    task = read_task(connection, task_id, user_id)
    found = events_of_task(connection, task_id, 0 if key is None else key[0], limit + 2)
    restarted = key is not None and key not in [(event.position, event.recorded_at) for event in found[:1]]
    if restarted:
        after, found = None, events_of_task(connection, task_id, 0, limit + 1)
    elif key is not None:
        found = found[1:]
    items = list(
        first_that_fit(
            (_change(list_name, event) for event in found[:limit]),
            lambda change: change.model_dump(mode="json"),
        )
    )
    more = len(found) > len(items)
    page = ChangePage(
        items=items,
        next_cursor=items[-1].cursor if items else after,
        status=task.status,
        more=more,
        restarted=restarted,
    )
    return Changes(page, 0 if more else pause_of(task, datetime.now(UTC)))


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
