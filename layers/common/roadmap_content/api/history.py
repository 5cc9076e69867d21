"""The history of a task.

- `GET /api/v1/tasks/{task_id}/attempts`: the audit trail
- `GET /api/v1/tasks/{task_id}/changes`: the changes, in order, each once. The feed reads the outbox, whether
  or not an event bus is configured: one index lookup, and no request to AWS. The event of a batch is several
  changes, and a page may end between two of them.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, NamedTuple

from pydantic import Field
from sqlalchemy import Connection

from ..contracts.api.tasks import AttemptPage, AttemptRow, Change, ChangePage
from ..contracts.events import changes_of
from ..contracts.states import UNFINISHED
from ..platform.aws.executions import execution_url
from ..state.outbox import RecordedEvent, events_of_task
from ..state.tasks.attempt_reading import read_attempts
from ..state.tasks.scope import scope_from
from ..state.tasks.task import Task, read_task
from .pages import Integer, Moment, decode_cursor, encode_cursor, first_that_fit, page_of

_BEFORE_ALL = 2**31 - 1
"""The number of no attempt: all are before it."""

_LAST = 2**31 - 2
"""The largest `part`: the next one is the largest `integer` of PostgreSQL."""


class _Place(NamedTuple):
    """A change in the feed: its event, and its index among the changes of that event."""

    position: Integer
    recorded_at: Moment
    part: Annotated[Integer, Field(le=_LAST)]


_BEGINNING = _Place(0, datetime.min.replace(tzinfo=UTC), -1)

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
    """An attempt in the answer. Its counts are `None` if the roadmap could not be read at its end."""
    not_started = None
    if row.saved:
        not_started = {name: row.planned[name] - row.saved[name] - row.failed[name] for name in row.planned}
    derived = {
        "scope": None if row.scope is None else scope_from(row.scope)._asdict(),
        "execution_url": execution_url(row.execution_arn),
        "not_started": not_started,
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
    place = decode_cursor(list_name, after, _Place)
    task = read_task(connection, task_id, user_id)  # before its events: none is missing of a finished task
    start = place or _BEGINNING
    found = events_of_task(connection, task_id, start.position, start.part, limit + 1)
    # The first event that is found is that of the cursor, unless it is gone.
    first = (found[0].position, found[0].recorded_at) if found else None
    restarted = place is not None and (place.position, place.recorded_at) != first
    if restarted:
        after, start = None, _BEGINNING
        found = events_of_task(connection, task_id, start.position, start.part, limit + 1)
    unread = list(islice(_unread(list_name, found, start), limit + 1))
    items = list(first_that_fit(unread[:limit], lambda change: change.model_dump(mode="json")))
    more = len(unread) > len(items)
    last = items[-1].cursor if items else after
    page = ChangePage(items=items, next_cursor=last, status=task.status, more=more, restarted=restarted)
    return page, 0 if more else pause_of(task, datetime.now(UTC))


def pause_of(task: Task, now: datetime) -> int:
    """The number of seconds after which the task may have changed. No I/O."""
    if task.status not in UNFINISHED:
        return POLL_SECONDS_AT_REST
    if not task.is_waiting:
        return POLL_SECONDS
    waited = (now - task.claimed_at).total_seconds()
    return max(POLL_SECONDS, min(POLL_SECONDS_AT_REST, round(WAITING_SHARE * waited)))


def _unread(list_name: str, events: Sequence[RecordedEvent], start: _Place) -> Iterator[Change]:
    """The changes that events report, after `start`."""
    for event in events:
        detail = json.loads(event.detail)
        changes = changes_of(event.event_id, event.detail_type, detail["data"])
        for part, change in enumerate(changes):
            if (event.position, part) > (start.position, start.part):
                yield Change(
                    cursor=encode_cursor(list_name, [event.position, event.recorded_at, part]),
                    time=detail["metadata"]["time"],
                    **change._asdict(),
                )
