"""`GET /api/v1/tasks/{task_id}/attempts/{attempt}/timeline`: where the time of an attempt went."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import Connection

from ..contracts.errors import AttemptNotFoundError
from ..contracts.events import DetailType
from ..contracts.items import ContentType
from ..contracts.payloads import Count
from ..platform.aws.executions import ExecutionsUnavailableError
from ..platform.postgres.times import utc
from ..platform.postgres.transactions import transact
from ..platform.runtime.deadline import Deadline
from ..platform.runtime.log import logger
from ..platform.timeline.axis import Audit, Axis, BatchSaved, axis_of
from ..platform.timeline.visits import History
from ..state.outbox import RecordedEvent, events_of_attempt
from ..state.services import Services
from ..state.tasks.attempts import read_attempts
from ..state.tasks.task import read_task

_TYPES = (DetailType.ATTEMPT_QUEUED, DetailType.ATTEMPT_STARTED, DetailType.BATCH_SAVED)

_SETTLED = timedelta(minutes=1)
"""The time after an attempt's end when its part of the history is complete: the end is recorded in a step,
whose own end follows."""


class HistoryState(StrEnum):
    """Whether the execution's history was read."""

    READ = "read"
    PARTIAL = "partial"
    """Only its first events, because it is very long."""

    NOT_STARTED = "not_started"
    GONE = "gone"
    """Step Functions keeps it for 90 days."""

    UNAVAILABLE = "unavailable"
    """Step Functions did not answer, or its quota is exhausted: ask again later."""


class AttemptTimeline(Axis):
    """An attempt on a time axis."""

    task_id: str
    attempt: Count
    claimed_at: datetime
    ended_at: datetime | None
    outcome: str | None
    history: Annotated[
        HistoryState,
        Field(
            description="Whether the execution's history was read. Without it, a batch has only the time at "
            "which it was saved. `gone`: Step Functions keeps it for 90 days. `partial`: only the first part "
            "was read. `unavailable`: ask again later."
        ),
    ]


def read_timeline(
    services: Services, task_id: str, user_id: str | None, attempt: int, deadline: Deadline
) -> AttemptTimeline:
    """Read an attempt from the audit trail and the outbox, and its execution's history.

    Raises:
        TaskNotFoundError, AttemptNotFoundError: there is none.
        DatabaseUnavailableError: a retry may succeed.
    """

    def read(connection: Connection) -> tuple[Any, list[RecordedEvent]]:
        read_task(connection, task_id, user_id)
        rows = read_attempts(connection, task_id, attempt + 1, 1)
        if not rows or rows[0].attempt != attempt:
            raise AttemptNotFoundError(f"task {task_id} has no attempt {attempt}")
        return rows[0], events_of_attempt(connection, task_id, attempt, _TYPES)

    row, events = transact(services.reading_engine, read, deadline)
    now = datetime.now(UTC)
    audit = _audit(row, events)
    history, state = None, HistoryState.NOT_STARTED
    if row.execution_arn is not None and not audit.is_waiting:
        is_final = audit.ended_at is not None and now - audit.ended_at > _SETTLED
        history, state = _history(services, row.execution_arn, attempt, is_final=is_final)
    return AttemptTimeline(
        **dict(axis_of(audit, history, now)),
        task_id=task_id,
        attempt=attempt,
        claimed_at=audit.claimed_at,
        ended_at=audit.ended_at,
        outcome=row.outcome,
        history=state,
    )


def _audit(row: Any, events: Sequence[RecordedEvent]) -> Audit:  # noqa: ANN401 - a SQLAlchemy row
    times: dict[str, datetime] = {}
    saved: list[BatchSaved] = []
    for event in events:
        detail = json.loads(event.detail)
        at, data = datetime.fromisoformat(detail["metadata"]["time"]), detail["data"]
        times[event.detail_type] = at
        if event.detail_type == DetailType.BATCH_SAVED:
            content_type = ContentType(data["content_type"])
            saved.append(BatchSaved(data["batch"], at, content_type, data["saved"], data["failed"]))
    was_queued = DetailType.ATTEMPT_QUEUED in times
    admitted_at = times.get(DetailType.ATTEMPT_STARTED)
    return Audit(
        claimed_at=utc(row.claimed_at),
        admitted_at=admitted_at if was_queued else None,
        is_waiting=was_queued and admitted_at is None,
        ended_at=utc(row.ended_at),
        is_recorded=bool(times),
        saved=saved,
    )


def _history(
    services: Services, execution_arn: str, attempt: int, *, is_final: bool
) -> tuple[History | None, HistoryState]:
    try:
        history = services.histories.read(execution_arn, attempt, is_final=is_final)
    except ExecutionsUnavailableError as error:
        logger.warning("execution_history_unavailable", execution_arn=execution_arn, reason=str(error))
        return None, HistoryState.UNAVAILABLE
    if history is None:
        return None, HistoryState.GONE
    return history, HistoryState.READ if history.is_whole else HistoryState.PARTIAL
