"""`GET /api/v1/tasks/{task_id}/changes`: the changes of a task, in order, each once.

The feed reads the outbox, whether or not an event bus is configured: one index lookup, and no request to AWS.
"""

import json
from datetime import UTC, datetime
from typing import Annotated, Any, NamedTuple

from pydantic import AwareDatetime, Field
from sqlalchemy import Connection

from ..contracts.payloads import Payload
from ..platform.postgres.times import utc
from ..state.outbox import RecordedEvent, events_of_task
from ..state.tasks.task import Task, read_task
from .cursors import decode_cursor, encode_cursor, integer, moment
from .sizes import first_that_fit

UNFINISHED = frozenset({"pending", "processing"})
"""The statuses of a task that changes by itself. Another one changes only by a person's request."""

POLL_SECONDS, POLL_SECONDS_AT_REST = 2, 30
"""The pause before the next request: of a task at work, and of a finished one."""

WAITING_SHARE = 0.1
"""The pause of a task that waits in the queue, between both, as a share of the time that it has waited. The
number of tasks at work is limited, the number of waiting ones is not: they are polled rarely.
"""


class Change(Payload):
    """One change of a task."""

    cursor: Annotated[str, Field(description="`after` for a request that continues with the next change.")]
    id: Annotated[str, Field(description="The id of the event. A change has the same id in every answer.")]
    type: Annotated[str, Field(description="The `detail-type` of the event: see events.md.")]
    time: AwareDatetime
    data: Annotated[dict[str, Any], Field(description="The `data` of the event: see events.md.")]


class ChangePage(Payload):
    """Changes of a task, oldest first."""

    items: list[Change]
    next_cursor: Annotated[
        str | None,
        Field(description="`after` for the next request. `null` if the task has had no change yet."),
    ]
    status: Annotated[str, Field(description="The task's status now.")]
    more: Annotated[bool, Field(description="Whether further changes can be read at once.")]
    restarted: Annotated[
        bool,
        Field(
            description="Whether the list begins with the first change that is kept, because the one of "
            "`after` does not exist: the database was restored from a backup, or it was deleted by age."
        ),
    ] = False


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
