"""Requests and answers about the capacity and the queue."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AwareDatetime, ConfigDict, Field, StrictBool, StrictInt

from ..items import ContentType
from ..payloads import AuditReason, Count, Payload, Positive
from ..states import QueueClass

MOST_USERS = 100
"""Limit of the list of users, those with the most waiting attempts first."""

MOST_CHANGES = 20


class CapacityRequest(Payload):
    """A change of the capacity. An omitted field keeps its value."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"stopped": True, "reason": "The bill of the model is too high"}},
    )

    slots: Annotated[
        StrictInt | None, Field(ge=1, le=10_000, description="Batches that are generated at the same time.")
    ] = None
    tokens_per_minute: Annotated[
        StrictInt | None,
        Field(ge=0, le=10**12, description="The model's quota, which calls share; 0: none is configured."),
    ] = None
    stopped: Annotated[
        StrictBool | None,
        Field(description="Admit no attempt and generate no further item, until it is `false` again."),
    ] = None
    reason: AuditReason


class ClassInQueue(Payload):
    """The attempts of one class."""

    queue_class: QueueClass
    waiting: Count
    waiting_tokens: Count
    oldest_waiting_since: AwareDatetime | None
    at_work: Count


class UserInQueue(ClassInQueue):
    """The attempts of one user or tenant, in one class."""

    queue_key: Annotated[str, Field(description="`user:<id>` or `tenant:<id>`.")]


class CapacityChange(Payload):
    """A change of the capacity."""

    at: AwareDatetime
    actor: str
    reason: str
    slots_before: int
    slots: int
    tokens_per_minute_before: int | None
    tokens_per_minute: int | None
    stopped_before: bool
    stopped: bool


class CapacityAnswer(Payload):
    """The capacity, and its use."""

    slots: int
    tokens_per_minute: Annotated[
        int | None,
        Field(description="The model's quota; null if none is configured: then calls adapt to refusals."),
    ]
    stopped: bool
    stopped_reason: str | None
    classes: list[ClassInQueue]
    users: Annotated[list[UserInQueue], Field(description=f"{MOST_USERS} at most, the longest queues first.")]
    changes: Annotated[list[CapacityChange], Field(description=f"The latest {MOST_CHANGES}, newest first.")]


class QueuePlace(Payload):
    """The place of a waiting attempt in the queue."""

    position: Annotated[Positive, Field(description="1 is next.")]
    at_least: Annotated[
        bool,
        Field(
            description="Whether others may still come before it: if another attempt of the user waits "
            "before it or is at work, if it is a bulk attempt, or if a bulk attempt waits."
        ),
    ]
    stopped: Annotated[bool, Field(description="Whether an operator has stopped generation.")]
    starts_in_seconds: Annotated[
        Count | None,
        Field(description="An estimate; null if too few attempts have ended, or generation is stopped."),
    ]


class RetryAnswer(Payload):
    """The answer of `POST /api/v1/tasks/{task_id}/retry`."""

    success: bool = True
    recovery_type: Literal["content_retry", "checkpoint"]
    task_id: str
    roadmap_id: str | None
    status: str
    items_to_retry: Mapping[ContentType, Count]
    total_items: Count
    attempt: int
    execution_arn: str | None
    queue: Annotated[QueuePlace | None, Field(description="If the attempt waits for a slot.")] = None
    message: str


class GenerationStop(Payload):
    """An operator has stopped generation, for all tasks."""

    since: AwareDatetime | None
    reason: str

    def __str__(self) -> str:
        """A sentence without its full stop."""
        since = "" if self.since is None else f" since {self.since:%Y-%m-%d %H:%M} UTC"
        return f"Generation is stopped{since}: {self.reason}; what is staged is kept"
