"""Requests and answers about recoveries."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AwareDatetime, Field

from ..items import ContentType
from ..payloads import Count, Page, Payload
from ..states import RecoveryState, TaskResult


class PreviewItems(Payload):
    """The numbers of missing items: staged items, and items to generate."""

    staged: Mapping[ContentType, Count]
    to_generate: Mapping[ContentType, Count]


class RecoveryPreview(Payload):
    """The preview of a recovery. Nothing is started."""

    dry_run: bool = True
    tasks: Count
    items: Annotated[PreviewItems, Field(description="The items that the recovery would retry.")]
    estimated_tokens: int | None
    other_items: Annotated[
        Count,
        Field(description="Missing items of these tasks with another cause; `all_missing` retries them."),
    ]
    other_tokens: Annotated[int | None, Field(description="The estimated tokens of `other_items`.")]
    estimated_minutes: float
    refused: Mapping[str, Count]


class LeftAlone(Payload):
    """An item that an undo has not restored."""

    concept_id: str
    content_type: ContentType
    reason: Annotated[str, Field(description="`ChangedSince`, or why the restore was refused.")]


class TaskUndo(Payload):
    """The results of an undo for the items of one task."""

    restored: Count = 0
    not_replaced: Annotated[Count, Field(description="Items that the recovery had not replaced.")] = 0
    left_alone: list[LeftAlone] = Field(default_factory=list)


class UndoCounts(Payload):
    """The counts of an undo, of all requests so far."""

    tasks_left: Count
    restored: Count
    not_replaced: Count
    left_alone: Annotated[
        Count, Field(description="Items that were changed since, or whose restore was refused.")
    ]


class UndoAnswer(UndoCounts):
    """The answer to a request for an undo."""

    recovery_id: str
    complete: Annotated[bool, Field(description="False: the request's time was up; repeat it.")]


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
    created_at: AwareDatetime
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    counts: Mapping[str, Count]
    tokens_used: Count
    rate_actual: float | None
    stop_reason: str | None
    undone: Annotated[
        UndoCounts | None, Field(description="What an undo has done so far; null if none has begun.")
    ] = None


class RecoveryPage(Page[RecoveryAnswer]):
    """A page of recoveries, the newest first."""


class RecoveryTask(Payload):
    """The result of one task of a recovery."""

    task_id: str
    title: Annotated[
        str | None, Field(description="The title of the task's roadmap; null if it has none, or was deleted.")
    ] = None
    result: TaskResult
    reason: str | None
    attempt: int | None
    started_at: AwareDatetime | None
    ended_at: AwareDatetime | None
    canary: bool
    undone: Annotated[TaskUndo | None, Field(description="What an undo did to the items of the task.")] = None


class RecoveryTaskPage(Page[RecoveryTask]):
    """A page of a recovery's tasks, in the order in which they are started."""
