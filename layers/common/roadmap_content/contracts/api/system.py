"""The answers about the system and the caller, and refusals."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from ..payloads import Count, Payload
from ..states import GroupState, Role


class LastSweep(Payload):
    """The result of the last sweep."""

    at: datetime
    seconds: float
    checked: Count
    repaired: Count
    refused: Count
    finished: bool


class QueueHealth(Payload):
    """The queue of attempts."""

    waiting: Count
    oldest_waiting_since: datetime | None
    at_work: Count
    slots: int
    stopped_reason: str | None
    """The reason why an operator has stopped generation; `None` if it is not stopped."""


class AutomaticAttempts(Payload):
    """Tasks for which the sweep starts the next attempt, without a request."""

    tasks: Count
    next_at: AwareDatetime | None
    """When it starts the first one."""


class Attention(Payload):
    """Something that a person should check."""

    what: str
    text: str
    runbook: str


class DatabaseFinding(Payload):
    """A difference between the database and the installation of this system, or its needs."""

    kind: str
    """The kind of the difference, such as `trigger_missing` or `column_missing`."""

    object: str
    """The object of the database, such as `quiz_metadata.concept_id`."""

    message: str


class Health(Payload):
    """The state of the system."""

    status: Literal["ok", "attention"]
    stuck_tasks: Count
    more_stuck_tasks: Annotated[
        bool, Field(description="Whether there are more than `stuck_tasks`, which is counted up to 100.")
    ] = False
    drifted_tasks: Count
    last_sweep: LastSweep | None
    outbox_waiting: Count
    more_outbox_waiting: Annotated[
        bool,
        Field(description="Whether there are more than `outbox_waiting`, which is counted up to 10,000."),
    ] = False
    outbox_aside: Count
    """Events that could not be sent: too large, or refused for a day."""

    erasures_unfinished: Count = 0
    """Erasures that nobody has continued for an hour."""

    queue: QueueHealth
    automatic: AutomaticAttempts
    tokens_24h: int
    """Tokens of the attempts of the last 24 hours."""

    tasks: Mapping[str, Count]
    tasks_estimated: list[str]
    """The statuses with more than 1,000 tasks: their numbers are estimates."""

    recoveries_running: Count = 0
    recoveries_paused: Count = 0
    """Recoveries that have paused by themselves: they wait for a person."""

    failure_groups: Mapping[GroupState, Count] = {}
    """The groups of current failures by state."""

    failure_groups_ringing: Count = 0
    """The new and regressed groups with a task that needs a person, looked for as for a group's `turn`."""

    database: list[DatabaseFinding] = Field(
        default=[], description="What keeps this system from working in the product's database."
    )

    schema_revision: str
    release: str
    attention: list[Attention]


class HourOfWork(Payload):
    """The work of one hour."""

    hour: AwareDatetime
    waiting: Annotated[Count, Field(description="The most attempts that waited at the same time.")]
    at_work: Annotated[Count, Field(description="The most attempts that were at work at the same time.")]
    saved: Annotated[Count, Field(description="Items of the attempts that ended in this hour.")]
    failed: Count
    spent: Annotated[int, Field(description="Tokens.")]


class Activity(Payload):
    """The work of the last 24 hours."""

    hours: Annotated[list[HourOfWork], Field(description="24, the oldest first; the last one is not over.")]


class Identity(Payload):
    """The caller."""

    user_id: str
    roles: list[Role]


class Refusal(Payload):
    """An error response."""

    success: bool = False
    error: str
    message: str
    detail: str
    """The same text as `message`, for the product's front end."""

    attempt: int | None = None
    current_step: str | None = None


class Unauthorized(Payload):
    """API Gateway's response to a request without a valid token."""

    message: str
