"""The answers about a task: status, attempts, changes, retry and cancellation; and the list of tasks."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, ConfigDict, Field

from ..erasure import Receipt
from ..items import MAX_INSTRUCTION, ContentType, Stage
from ..payloads import NOT_BLANK, Count, Page, Payload, reason_for_owner
from ..states import Cause
from .capacity import GenerationStop, QueuePlace
from .turn import Turn


class Progress(Payload):
    """Items of one content type: total = saved + missing."""

    total: Count
    saved: Count
    missing: Count
    generated: Annotated[
        Count, Field(description="Items that the latest attempt generated, because they were not staged.")
    ] = 0


class FailedItem(Payload):
    """An item that the current attempt could not save, and the reason."""

    concept_id: str
    content_type: ContentType
    stage: Stage
    error_code: str
    reason: str


MOST_ITEMS = 2_000
"""Limit of the list of failed items. `progress` counts all items, including those not listed."""


class TaskStatus(Payload):
    """The response of `GET /api/v1/tasks/{task_id}` and of `roadmap status --json`."""

    task_id: str
    roadmap_id: str | None
    status: str
    current_step: str | None
    attempt: int
    execution_arn: str | None
    queue: Annotated[QueuePlace | None, Field(description="Only while the attempt waits for a slot.")] = None
    generation_stopped: Annotated[
        GenerationStop | None,
        Field(
            description="While an attempt waits or runs: an operator has stopped generation for all tasks."
        ),
    ] = None
    progress: Annotated[
        Mapping[ContentType, Progress],
        Field(description="The items of the framework; every `total` is 0 only without a readable one."),
    ]
    failed_items: Annotated[
        list[FailedItem], Field(description=f"In framework order, {MOST_ITEMS} and 3 MB at most.")
    ]
    skipped_concepts: Annotated[
        list[str],
        Field(description="Concepts of the framework without a usable id, with their places, 20 at most."),
    ]
    error_message: str | None
    turn: Turn
    updated_at: AwareDatetime
    completed_at: AwareDatetime | None


class Actions(Payload):
    """The actions that the caller may take now."""

    retry: bool
    cancel: bool
    checkpoint: bool
    narrow: bool
    """Retry or regenerate single items. Also possible if nothing is missing."""


class TaskTokens(Payload):
    """The tokens used by all attempts of the task, and the budget."""

    used: Count
    budget: int | None


class TaskDetail(TaskStatus):
    """The response of `GET /api/v1/tasks/{task_id}`."""

    title: str | None
    created_at: AwareDatetime
    user_id: str
    live: bool
    """Whether an attempt is running. Right after a run has died, it may be true until a sweep."""

    execution_url: str | None
    actions: Actions
    tokens: TaskTokens
    erased: Annotated[
        Receipt | None,
        Field(description="Everything of this system about the task was erased; the product's rows stayed."),
    ] = None


class ItemTotals(Payload):
    """The items of all content types together at the last outcome: total = saved + missing.

    Of the missing ones, `failed` have a recorded failure; a cancelled attempt has not started the others.
    """

    total: Count
    saved: Count
    missing: Count
    failed: Count


class TopReason(Payload):
    """The largest group of a task's current failures."""

    error_code: str
    sentence: str | None
    stage: Stage
    reason: str
    items: Count


class TaskRow(Payload):
    """One task of a list."""

    task_id: str
    roadmap_id: str | None
    title: str | None
    user_id: str
    status: str
    current_step: str | None
    attempt: Count
    updated_at: AwareDatetime
    created_at: AwareDatetime
    completed_at: AwareDatetime | None
    progress: ItemTotals | None
    top_reason: TopReason | None
    turn: Turn
    erased: Annotated[bool, Field(description="Everything of this system about the task was erased.")]


class TaskPage(Page[TaskRow]):
    """A page of tasks, newest first.

    A page with a rare combination of filters may have fewer rows than `limit`, or none, although the list
    continues at `next_cursor`.
    """

    total: Count
    total_is_exact: bool
    """If false, `total` is an estimate: counting would read too many tasks."""


class TaskSource(Payload):
    """The inputs of a task's contents. It contains data about the user: ids and the request."""

    task_id: str
    user_id: str
    roadmap_id: str
    user_request: Annotated[
        dict[str, Any] | None,
        Field(description="As the product wrote it; null if it cannot be read or is no object."),
    ]
    owner_id: Annotated[str, Field(description="The roadmap's user.")]
    title: str
    total_estimated_hours: float | None
    recommended_completion_weeks: int | None
    framework_data: Annotated[str, Field(description="A piece of the JSON text, from the cursor on.")]
    next_cursor: str | None


Instruction = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_INSTRUCTION,
        pattern=NOT_BLANK,
        description="How saved contents are to be changed. The generator gets it with the present content.",
    ),
]


class ChangeRequest(Payload):
    """The body of a retry with `regenerate` that changes saved contents."""

    model_config = ConfigDict(extra="forbid")

    instruction: Instruction | None = None
    revision: Annotated[
        str | None,
        Field(max_length=200, description="The content of a single item that is meant; another one stays."),
    ] = None


class AttemptScope(Payload):
    """The part of the task that an attempt was for; `null` does not limit."""

    concept_id: str | None
    content_type: ContentType | None
    regenerate: bool
    """Whether saved items were to be replaced as well."""

    instruction: str | None = None
    """How they were to be changed; to owners, only their own text."""


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
    claimed_at: AwareDatetime
    ended_at: AwareDatetime | None
    outcome: str | None
    planned: Mapping[ContentType, Count] | None
    saved: Annotated[
        Mapping[ContentType, Count] | None,
        Field(description="`null` before the end, or if the roadmap could not be read then: unknown."),
    ]
    failed: Annotated[Mapping[ContentType, Count] | None, Field(description="`null` if `saved` is.")]
    not_started: Annotated[
        Mapping[ContentType, Count] | None,
        Field(description="planned − saved − failed: only of a cancelled attempt."),
    ]
    temporary: Annotated[
        Mapping[str, Count],
        Field(description="The failed items with a temporary reason, such as an outage, by error code."),
    ]
    generated: Mapping[ContentType, Count] | None
    tokens: Count
    scope: AttemptScope | None
    """`null` for an attempt for all missing items."""


class AttemptPage(Page[AttemptRow]):
    """A page of a task's attempts, newest first."""

    def for_owner(self) -> Self:
        """Without the reasons and instructions that operators wrote."""
        items = []
        for row in self.items:
            scope = row.scope
            if scope is not None:
                instruction = reason_for_owner(row.actor, scope.instruction)
                scope = scope.model_copy(update={"instruction": instruction})
            reason = reason_for_owner(row.actor, row.reason)
            items.append(row.model_copy(update={"reason": reason, "scope": scope}))
        return self.model_copy(update={"items": items})


class Change(Payload):
    """One change of a task."""

    cursor: Annotated[str, Field(description="`after` for a request that continues with the next change.")]
    id: Annotated[
        str,
        Field(
            description="The id of the event; of a part of a saved batch, with its place. A change has the "
            "same id in every answer."
        ),
    ]
    type: Annotated[
        str, Field(description="The `detail-type` of the event, or the kind of the part: see events.md.")
    ]
    time: AwareDatetime
    data: Annotated[
        dict[str, Any], Field(description="The `data` of the event, or of the part: see events.md.")
    ]


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


Basis = Literal["task", "roadmap", "none"]


class RetryPreview(Payload):
    """The answer of a retry with `dry_run`."""

    dry_run: bool = True
    task_id: str
    staged: Mapping[ContentType, Count]
    to_generate: Mapping[ContentType, Count]
    total_items: Count
    estimated_tokens: int | None
    estimate_basis: Basis


class CancelAnswer(Payload):
    """The answer of `POST /api/v1/tasks/{task_id}/cancel`."""

    success: bool = True
    task_id: str
    status: Literal["cancelled", "completed"]
    """`completed`: no item is missing, and only the attempt is cancelled."""

    attempt: int
    stopped_execution: str | None
    """`null`: none ran, or Step Functions did not answer. Such a run starts no further item."""
