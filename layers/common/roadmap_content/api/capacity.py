"""`GET` and `PUT /api/v1/capacity`: the slots, the model's quota, the switch that stops generation, and the
queue by user.
"""

from typing import Annotated

from pydantic import ConfigDict, Field
from sqlalchemy import Connection

from ..contracts.errors import ContentError, InvalidRequestError
from ..contracts.payloads import Count, Payload
from ..platform.postgres.times import UtcTime
from ..platform.postgres.transactions import transact
from ..platform.runtime.deadline import Deadline
from ..platform.runtime.log import logger
from ..state.queue.admission import admit_waiting
from ..state.queue.capacity import change_capacity, granted_batches, latest_changes, read_capacity
from ..state.queue.totals import queue_by_class, queue_by_key
from ..state.services import Services
from ..state.tasks.work import QueueClass

MOST_USERS = 100
"""Limit of the list of users, those with the most waiting attempts first."""

MOST_CHANGES = 20

ADMIT_SECONDS = 8.0
"""The time that a request may take to start waiting attempts. The sweep starts the others."""


class CapacityRequest(Payload):
    """A change of the capacity. An omitted field keeps its value."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        defer_build=True,
        json_schema_extra={"example": {"stopped": True, "reason": "The bill of the model is too high"}},
    )

    slots: Annotated[
        int | None, Field(ge=1, le=10_000, description="Batches that are generated at the same time.")
    ] = None
    tokens_per_minute: Annotated[
        int | None,
        Field(ge=0, le=10**12, description="The model's quota, which calls share; 0: none is configured."),
    ] = None
    stopped: Annotated[
        bool | None,
        Field(description="Admit no attempt and generate no further item, until it is `false` again."),
    ] = None
    reason: Annotated[
        str, Field(min_length=1, max_length=500, pattern=r"\S", description="For the audit trail.")
    ]


class ClassInQueue(Payload):
    """The attempts of one class."""

    queue_class: QueueClass
    waiting: Count
    waiting_tokens: Count
    oldest_waiting_since: UtcTime | None
    at_work: Count
    grants: Count
    """Batches that the attempts at work may generate at the same time."""


class UserInQueue(Payload):
    """The attempts of one user or tenant, in one class."""

    queue_class: QueueClass
    queue_key: Annotated[str, Field(description="`user:<id>` or `tenant:<id>`.")]
    waiting: Count
    waiting_tokens: Count
    oldest_waiting_since: UtcTime | None
    at_work: Count
    charged: Annotated[float, Field(description="The counter of tokens. The smallest one is next.")]


class CapacityChange(Payload):
    """A change of the capacity."""

    at: UtcTime
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
    most_grants: Annotated[
        int,
        Field(
            description="An attempt is admitted while the grants are below it; while they are not below the "
            "slots, only that of a user without an attempt at work."
        ),
    ]
    tokens_per_minute: Annotated[
        int | None,
        Field(description="The model's quota; null if none is configured: then calls adapt to refusals."),
    ]
    stopped: bool
    stopped_reason: str | None
    classes: list[ClassInQueue]
    users: Annotated[list[UserInQueue], Field(description=f"{MOST_USERS} at most, the longest queues first.")]
    changes: Annotated[list[CapacityChange], Field(description=f"The latest {MOST_CHANGES}, newest first.")]


def describe_capacity(connection: Connection) -> CapacityAnswer:
    """Describe the capacity and the queue."""
    capacity = read_capacity(connection)
    return CapacityAnswer(
        slots=capacity.slots,
        most_grants=granted_batches(capacity.slots),
        tokens_per_minute=capacity.tokens_per_minute,
        stopped=capacity.stopped_reason is not None,
        stopped_reason=capacity.stopped_reason,
        classes=[
            ClassInQueue.model_validate(found, from_attributes=True) for found in queue_by_class(connection)
        ],
        users=[
            UserInQueue.model_validate(found, from_attributes=True)
            for found in queue_by_key(connection, MOST_USERS)
        ],
        changes=[
            CapacityChange.model_validate(change, from_attributes=True)
            for change in latest_changes(connection, MOST_CHANGES)
        ],
    )


def set_capacity(services: Services, request: CapacityRequest, actor: str, deadline: Deadline) -> None:
    """Change the capacity, and start attempts that it now permits.

    Raises:
        InvalidRequestError: the request changes nothing.
        DatabaseUnavailableError: nothing was changed, or the same request may be sent again.
    """
    if all(change is None for change in (request.slots, request.tokens_per_minute, request.stopped)):
        raise InvalidRequestError("body: slots, tokens_per_minute or stopped is required")

    def change(connection: Connection) -> bool:
        return change_capacity(
            connection,
            actor,
            request.reason,
            slots=request.slots,
            tokens_per_minute=request.tokens_per_minute,
            stopped=request.stopped,
        )

    if not transact(services.engine, change, deadline):
        return
    logger.warning("capacity_changed", actor=actor, **request.model_dump(mode="json"))
    try:
        admit_waiting(services, deadline.within(ADMIT_SECONDS))
    except ContentError as error:
        logger.warning("next_not_started", error_code=error.code, reason=str(error))
