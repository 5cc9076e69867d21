"""Requests and answers about failure groups."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AwareDatetime, Field

from ..items import ContentType, Stage
from ..payloads import Count, Page, Payload
from ..states import GroupState, NextAction
from .recoveries import RecoveryAnswer
from .turn import Turn


class FailureExample(Payload):
    """One recorded failure of a group."""

    task_id: str
    concept_id: str
    content_type: ContentType
    reason: str


class FailureGroup(Payload):
    """Current failures with the same code, stage and normalised reason, of any content type."""

    group_id: str
    error_code: str
    sentence: str | None
    """The meaning of the code; `None` for a code of a content check."""

    stage: Stage
    reason: str
    example: FailureExample | None
    tasks: Count
    items: Count
    by_type: Mapping[ContentType, Count]
    """The items by content type, only types with any."""

    first_seen: AwareDatetime
    last_seen: AwareDatetime
    transient: bool
    remedy: NextAction
    remedy_text: str
    turn: Annotated[
        Turn,
        Field(
            description="That of the task that decides: one that needs a person, if there is any. Of more "
            "than 400 tasks, the 200 oldest and the 200 newest are looked at."
        ),
    ]
    state: GroupState
    state_by: str | None
    state_at: AwareDatetime | None
    """The time of the last change of the state by a person; `None` if there was none."""

    note: str | None
    ignored_until: AwareDatetime | None
    ignored_until_tasks: int | None
    """An ignored group is new again at this time, or when it has this number of tasks."""

    by_hour: list[tuple[AwareDatetime, int]]
    """Items by the hour in which their attempt ended; the last 24 hours with any."""


class FailurePage(Page[FailureGroup]):
    """A page of groups, the largest first."""

    def for_owner(self) -> Self:
        """Without the notes of operators."""
        hidden = {"state_by": None, "note": None}
        return self.model_copy(update={"items": [group.model_copy(update=hidden) for group in self.items]})


class FailureHour(Payload):
    """The failures of an hour."""

    hour: AwareDatetime
    failed: Annotated[Count, Field(description="Items. One that fails again in a later hour counts twice.")]
    still: Annotated[Count, Field(description="Of them, those that are missing since.")]


class HealedGroup(Payload):
    """A group that had failures in a period and has none now."""

    group_id: str
    error_code: str
    sentence: str | None
    stage: Stage
    reason: str
    failed: Count
    last_seen: AwareDatetime
    automatically: Annotated[Count, Field(description="Items that an automatic attempt has healed.")]
    by_recovery: Count
    by_person: Annotated[Count, Field(description="By a person's retry or redrive.")]


class FailureHistory(Payload):
    """The failures of a period."""

    since: AwareDatetime
    hours: Annotated[list[FailureHour], Field(description="The hours with failures, the oldest first.")]
    healed: Annotated[list[HealedGroup], Field(description="The 100 with the most failures.")]


MOST_CHANGES = 50

MOST_RECOVERIES = 20


class GroupChangeRow(Payload):
    """A change of a group's state by a person."""

    at: AwareDatetime
    actor: str
    state: GroupState
    note: str
    until: AwareDatetime | None
    until_tasks: int | None


class FailureGroupDetail(FailureGroup):
    """A failure group with its history. Without current failures, it has neither tasks nor an example."""

    changes: Annotated[
        list[GroupChangeRow], Field(description=f"The latest {MOST_CHANGES} changes of the state.")
    ]
    recoveries: Annotated[
        list[RecoveryAnswer], Field(description=f"The latest {MOST_RECOVERIES} recoveries of this group.")
    ]
