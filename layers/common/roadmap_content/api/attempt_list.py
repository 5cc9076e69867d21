"""`GET /api/v1/tasks/{task_id}/attempts`: the audit trail of a task."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Connection

from ..contracts.items import ContentType
from ..contracts.payloads import Count, Payload
from ..platform.aws.executions import execution_url
from ..platform.postgres.times import utc
from ..state.tasks.attempt_reading import read_attempts
from ..state.tasks.attempts import Cause
from ..state.tasks.scope import scope_from
from .cursors import decode_cursor, encode_cursor, integer

_BEFORE_ALL = 2**31 - 1


class AttemptScope(Payload):
    """The part of the task that an attempt was for; `null` does not limit."""

    concept_id: str | None
    content_type: ContentType | None
    regenerate: bool
    """Whether saved items were to be replaced as well."""


class AttemptRow(Payload):
    """One attempt. Unknown counts are `null`: while it runs, or if it is older than the audit trail."""

    attempt: Count
    actor: str
    cause: Cause
    reason: str | None
    execution_arn: str | None
    execution_url: str | None
    """The execution in the AWS console, with its time axis."""

    redrive_count: Count
    step: str
    claimed_at: datetime
    ended_at: datetime | None
    outcome: str | None
    planned: Mapping[ContentType, Count] | None
    saved: Mapping[ContentType, Count] | None
    failed: Mapping[ContentType, Count] | None
    not_started: Annotated[
        Mapping[ContentType, Count] | None,
        Field(description="planned − saved − failed: only of a cancelled attempt."),
    ]
    generated: Mapping[ContentType, Count] | None
    tokens: Count
    scope: AttemptScope | None
    """`null` for an attempt for all missing items."""


class AttemptPage(Payload):
    """A page of a task's attempts, newest first."""

    items: list[AttemptRow]
    next_cursor: str | None


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
