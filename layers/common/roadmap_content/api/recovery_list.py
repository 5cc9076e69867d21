"""Requests and responses of the API for recoveries."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import ConfigDict, Field
from sqlalchemy import Connection

from ..contracts.items import ContentType
from ..contracts.payloads import Count, Payload
from ..platform.postgres.times import UtcTime, naive_utc, utc
from ..runs.recoveries.control import require_recovery
from ..runs.recoveries.create import MAX_TASKS, Preview
from ..runs.recoveries.decisions import Limits, RecoveryState, TaskResult
from ..runs.recoveries.recovery import Recovery, read_recoveries
from ..runs.recoveries.recovery_tasks import count_tasks, count_undone, read_tasks
from ..runs.recoveries.regeneration import Regeneration
from ..state.tasks.listing import TaskFilter
from .cursors import decode_cursor, encode_cursor, integer, moment, text
from .recovery_undo import TaskUndo, UndoCounts
from .task_filter import task_filter_of

Short = Annotated[str, Field(min_length=1, max_length=200)]
Moment = Annotated[datetime | None, Field(description="ISO 8601; without a zone, UTC.")]


MAX_TOKENS = 10**12
"""Maximum tokens of a budget."""


class RecoveryFilter(Payload):
    """The tasks of a recovery: those that meet every condition when the recovery is created."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    status: Annotated[
        list[Short],
        Field(
            max_length=20,
            description="One or more statuses; by default, those of tasks with missing items, and for "
            "`regenerate` those of all finished tasks.",
        ),
    ] = Field(default_factory=list)
    error_code: Annotated[Short | None, Field(description="Tasks with a current failure of this code.")] = (
        None
    )
    content_type: Annotated[
        ContentType | None, Field(description="Tasks with a current failure of this content type.")
    ] = None
    user_id: Annotated[Short | None, Field(description="Tasks of this user.")] = None
    updated_after: Moment = None
    updated_before: Moment = None
    q: Annotated[
        Short | None,
        Field(
            description="The start of a task's id, of a roadmap's id, or (in any case) of a roadmap's title."
        ),
    ] = None
    group_id: Annotated[
        Short | None,
        Field(description="Tasks with a failure of this group: a `group_id` of `GET /api/v1/failures`."),
    ] = None
    task_ids: Annotated[list[Short], Field(max_length=10_000, description="Only these tasks.")] = Field(
        default_factory=list
    )

    def resolved(self) -> TaskFilter:
        """The filter of a list."""
        return task_filter_of(**dict(self))


class RegenerationFilter(Payload):
    """The saved items to regenerate: those that meet every condition when the recovery is created."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    content_type: Annotated[ContentType | None, Field(description="Items of this type.")] = None
    generator: Annotated[
        Short | None, Field(description="What it wrote: `product`, `offline` or `bedrock`.")
    ] = None
    model_id: Annotated[
        Short | None, Field(description="What this model wrote: a `model_id` of `GET /api/v1/origins`.")
    ] = None
    prompt_version: Annotated[
        Short | None,
        Field(description="What this prompt wrote: a `prompt_version` of `GET /api/v1/origins`."),
    ] = None
    generated_after: Moment = None
    generated_before: Moment = None
    roadmap_id: Annotated[Short | None, Field(description="Items of this roadmap.")] = None
    error_code: Annotated[
        Short | None,
        Field(
            description="Items of which a later content was refused with this code, for example by the "
            "product's check with `Check.WrongKey`. Their current content has not been replaced."
        ),
    ] = None

    def resolved(self) -> Regeneration:
        """The filter, with times in UTC."""
        times = {
            "generated_after": self.generated_after and naive_utc(self.generated_after),
            "generated_before": self.generated_before and naive_utc(self.generated_before),
        }
        return Regeneration(**dict(self) | times)


class RecoveryRequest(Payload):
    """The request to create a recovery."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        defer_build=True,
        json_schema_extra={
            "example": {
                "filter": {"status": ["failed"], "error_code": "DatabaseUnavailable"},
                "reason": "The database was down from 02:10 to 02:40",
                "rate_per_minute": 60,
                "canary": 5,
            }
        },
    )

    filter: RecoveryFilter = RecoveryFilter()
    regenerate: Annotated[
        RegenerationFilter | None,
        Field(description="Replace saved items of the selected tasks, instead of retrying missing ones."),
    ] = None
    reason: Annotated[
        str, Field(min_length=1, max_length=500, pattern=r"\S", description="For the audit trail.")
    ]
    rate_per_minute: Annotated[int, Field(ge=1, le=100_000, description="Tasks to start in a minute.")] = 60
    concurrency: Annotated[int, Field(ge=1, le=1_000, description="Tasks to run at the same time.")] = 10
    token_budget: Annotated[
        Annotated[int, Field(ge=1, le=MAX_TOKENS)] | None,
        Field(description="Start no task that would probably exceed it."),
    ] = None
    canary: Annotated[
        int, Field(ge=0, le=1_000, description="Tasks to retry first. If most of them fail, it stops.")
    ] = 0
    breaker: Annotated[
        int,
        Field(
            ge=0,
            le=1_000,
            description="Pause when more than half of this number of last ended tasks failed, or half of it "
            "with the same failure group; 0: do not.",
        ),
    ] = 0
    dry_run: Annotated[bool, Field(description="Return a preview. Nothing is started.")] = False

    @property
    def limits(self) -> Limits:
        """The limits of the recovery."""
        return Limits(self.rate_per_minute, self.concurrency, self.token_budget, self.canary, self.breaker)


class PreviewItems(Payload):
    """The numbers of missing items: staged items, and items to generate."""

    staged: Mapping[ContentType, Count]
    to_generate: Mapping[ContentType, Count]


class RecoveryPreview(Payload):
    """The preview of a recovery. Nothing is started."""

    dry_run: bool = True
    tasks: Count
    items: PreviewItems
    estimated_tokens: int | None
    estimated_minutes: float
    refused: Mapping[str, Count]


class RecoveryAnswer(Payload):
    """One recovery."""

    recovery_id: str
    state: RecoveryState
    actor: str
    reason: str
    filter: Mapping[str, Any]
    rate_per_minute: Count
    concurrency: Count
    token_budget: int | None
    canary: Count
    breaker: Count
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    counts: Mapping[str, Count]
    tokens_used: Count
    rate_actual: float | None
    stop_reason: str | None
    undone: Annotated[
        UndoCounts | None, Field(description="What an undo has done so far; null if none has begun.")
    ] = None


class RecoveryPage(Payload):
    """A page of recoveries, the newest first."""

    items: list[RecoveryAnswer]
    next_cursor: str | None


class RecoveryTask(Payload):
    """The result of one task of a recovery."""

    task_id: str
    title: Annotated[
        str | None, Field(description="The title of the task's roadmap; null if it has none, or was deleted.")
    ] = None
    result: TaskResult
    reason: str | None
    attempt: int | None
    started_at: UtcTime | None
    ended_at: UtcTime | None
    canary: bool
    undone: Annotated[TaskUndo | None, Field(description="What an undo did to the items of the task.")] = None


class RecoveryTaskPage(Payload):
    """A page of a recovery's tasks, in the order in which they are started."""

    items: list[RecoveryTask]
    next_cursor: str | None


def describe_preview(preview: Preview, limits: Limits) -> RecoveryPreview:
    """The response to a dry run."""
    return RecoveryPreview(
        tasks=preview.tasks,
        items=PreviewItems(staged=preview.staged, to_generate=preview.to_generate),
        estimated_tokens=preview.estimated_tokens,
        estimated_minutes=round(preview.tasks / limits.rate_per_minute, 1),
        refused=preview.refused,
    )


def describe_recovery(connection: Connection, recovery_id: str) -> RecoveryAnswer:
    """Read a recovery with its counts.

    Raises:
        RecoveryNotFoundError: there is none.
    """
    return describe(connection, require_recovery(connection, recovery_id))


def list_recoveries(connection: Connection, cursor: str | None, limit: int) -> RecoveryPage:
    """Read a page of recoveries.

    Raises:
        InvalidCursorError: the cursor belongs to another list.
    """
    found = read_recoveries(connection, decode_cursor("recoveries", cursor, moment, text), limit + 1)
    shown = found[:limit]
    return RecoveryPage(
        items=[describe(connection, recovery) for recovery in shown],
        next_cursor=encode_cursor("recoveries", [shown[-1].created_at, shown[-1].recovery_id])
        if len(found) > limit
        else None,
    )


def list_recovery_tasks(
    connection: Connection, recovery_id: str, result: TaskResult | None, cursor: str | None, limit: int
) -> RecoveryTaskPage:
    """Read a page of a recovery's tasks.

    Raises:
        RecoveryNotFoundError: there is none.
        InvalidCursorError: the cursor belongs to another list.
    """
    require_recovery(connection, recovery_id)
    list_name = f"recovery tasks {recovery_id} {result or ''}"
    (after,) = decode_cursor(list_name, cursor, integer) or (0,)
    found = read_tasks(connection, recovery_id, result, min(after, MAX_TASKS), limit + 1)
    shown = found[:limit]
    return RecoveryTaskPage(
        items=[RecoveryTask.model_validate(row, from_attributes=True) for row in shown],
        next_cursor=encode_cursor(list_name, [shown[-1].position]) if len(found) > limit else None,
    )


def describe(connection: Connection, recovery: Recovery) -> RecoveryAnswer:
    """Describe a recovery with its counts."""
    counts = count_tasks(connection, recovery.recovery_id)
    return RecoveryAnswer(
        recovery_id=recovery.recovery_id,
        state=RecoveryState(recovery.state),
        actor=recovery.actor,
        reason=recovery.reason,
        filter=json.loads(json.dumps(recovery.filter)),
        rate_per_minute=recovery.rate_per_minute,
        concurrency=recovery.concurrency,
        token_budget=recovery.token_budget,
        canary=recovery.canary,
        breaker=recovery.breaker,
        created_at=utc(recovery.created_at),
        started_at=utc(recovery.started_at),
        ended_at=utc(recovery.ended_at),
        counts={
            "total": sum(counts.results.values()),
            **{str(result): count for result, count in counts.results.items()},
        },
        tokens_used=counts.tokens_used,
        rate_actual=_rate(recovery, counts.attempted),
        stop_reason=recovery.stop_reason,
        undone=_undone(connection, recovery),
    )


def _undone(connection: Connection, recovery: Recovery) -> UndoCounts | None:
    if "regenerate" not in recovery.filter or recovery.ended_at is None:
        return None
    counts = count_undone(connection, recovery.recovery_id)
    # Each task of a regeneration has at least one item.
    begun = counts.restored + counts.not_replaced + counts.left_alone > 0
    return UndoCounts(**counts._asdict()) if begun else None


def _rate(recovery: Recovery, started: int) -> float | None:
    """Started tasks per minute so far."""
    if recovery.started_at is None:
        return None
    end = recovery.ended_at or recovery.now
    minutes = (end - recovery.started_at).total_seconds() / 60
    return round(started / minutes, 1) if minutes > 0 else None
