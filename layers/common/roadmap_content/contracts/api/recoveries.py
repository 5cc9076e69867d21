"""Requests and answers about recoveries."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, ConfigDict, Field, model_validator

from ..items import ContentType
from ..payloads import Count, Page, Payload
from ..states import RecoveryState, TaskResult
from .filters import OF_FAILURE, Filter, Moment, Short, TaskFilter
from .tasks import Instruction

MAX_TOKENS = 10**12
"""Maximum tokens of a budget."""


class RecoveryFilter(TaskFilter):
    """The tasks of a recovery: those that meet every condition when the recovery is created. Of these tasks,
    the items that fail for the named cause (group, code, content type) are retried.
    """

    all_missing: Annotated[
        bool, Field(description="Retry every missing item of the tasks, also those with another cause.")
    ] = False


def cause_of(conditions: Mapping[str, Any]) -> dict[str, str]:
    """The cause of the items that a recovery with these conditions retries; empty: every missing item."""
    if conditions.get("all_missing"):
        return {}
    return {name: conditions[name] for name in OF_FAILURE if name in conditions}


class RegenerationFilter(Filter):
    """The saved items to regenerate: those that meet every condition when the recovery is created."""

    content_type: Annotated[ContentType | None, Field(description="Items of this type.")] = None
    generator: Annotated[
        Short | None, Field(description="What it wrote: `product`, `offline`, `bedrock` or `function`.")
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


class RecoveryRequest(Payload):
    """The request to create a recovery."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "filter": {"status": ["failed"], "error_code": "DatabaseUnavailable"},
                "reason": "The database was down from 02:10 to 02:40",
                "rate_per_minute": 60,
            }
        },
    )

    filter: RecoveryFilter = RecoveryFilter()
    regenerate: Annotated[
        RegenerationFilter | None,
        Field(description="Replace saved items of the selected tasks, instead of retrying missing ones."),
    ] = None
    instruction: Annotated[
        Instruction | None,
        Field(
            description="With `regenerate`: how the saved contents are changed. After its canary, such a "
            "recovery pauses: look at the changed contents, then resume it, or cancel and undo it."
        ),
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
        int,
        Field(ge=0, le=1_000, description="Tasks to retry first; 0: none. If most of them fail, it stops."),
    ] = 5
    breaker: Annotated[
        int,
        Field(
            ge=0,
            le=1_000,
            description="Pause when more than half of this number of last ended tasks failed, or half of it "
            "with the same failure group; 0: do not.",
        ),
    ] = 10
    dry_run: Annotated[bool, Field(strict=True, description="Return a preview. Nothing is started.")] = False

    @model_validator(mode="after")
    def _instruction_changes_saved_items(self) -> Self:
        if self.instruction is not None and self.regenerate is None:
            raise ValueError("instruction changes saved items: add `regenerate`")
        return self


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


MOST_POINTS = 60


class RecoveryProgress(Payload):
    """How far a recovery has come, and when it will probably end."""

    ended: Annotated[
        list[tuple[AwareDatetime, int]],
        Field(description=f"The number of ended tasks at a time, {MOST_POINTS} times at most."),
    ]
    least_seconds: Annotated[
        Count | None,
        Field(
            description="The rest takes as long at the faster of two measured speeds: that since the start "
            "or the last resume, and that of the later half of this time. Null: too few have ended."
        ),
    ]
    most_seconds: Annotated[Count | None, Field(description="At the slower one.")]


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
    progress: Annotated[RecoveryProgress | None, Field(description="Null in a list.")] = None
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
