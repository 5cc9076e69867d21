"""`GET /api/v1/tasks/{task_id}/attempts`: the audit trail of a task."""

from typing import Any

from sqlalchemy import Connection

from ..contracts.api.tasks import AttemptPage, AttemptRow
from ..contracts.times import utc
from ..platform.aws.executions import execution_url
from ..state.tasks.attempt_reading import read_attempts
from ..state.tasks.scope import scope_from
from .cursors import decode_cursor, encode_cursor, integer

_BEFORE_ALL = 2**31 - 1


def list_attempts(connection: Connection, task_id: str, cursor: str | None, limit: int) -> AttemptPage:
    """Read a page of a task's attempts.

    Raises:
        InvalidCursorError: the cursor belongs to another list.
    """
    list_name = f"attempts {task_id}"
    (before,) = decode_cursor(list_name, cursor, integer) or (_BEFORE_ALL,)
    found = read_attempts(connection, task_id, min(before, _BEFORE_ALL), limit + 1)
    shown = found[:limit]
    return AttemptPage(
        items=[_row(record) for record in shown],
        next_cursor=encode_cursor(list_name, [shown[-1].attempt]) if len(found) > limit else None,
    )


def _row(row: Any) -> AttemptRow:  # noqa: ANN401 - a SQLAlchemy row
    times = {name: utc(row._mapping[name]) for name in ("claimed_at", "ended_at")}  # noqa: SLF001
    scope = None if row.scope is None else scope_from(row.scope)._asdict()
    not_started = None
    if row.saved is not None:
        not_started = {name: row.planned[name] - row.saved[name] - row.failed[name] for name in row.planned}
    url = execution_url(row.execution_arn)
    derived = {**times, "scope": scope, "execution_url": url, "not_started": not_started}
    return AttemptRow.model_validate({**row._mapping, **derived})  # noqa: SLF001 - SQLAlchemy's public name
