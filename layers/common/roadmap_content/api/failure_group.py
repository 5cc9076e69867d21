"""`GET` and `PUT /api/v1/failures/{group_id}`: one failure group with its history, and its state."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator
from sqlalchemy import Connection

from ..contracts.payloads import Payload
from ..platform.postgres.times import UtcTime, naive_utc
from ..runs.recoveries.recovery import recoveries_of_group
from ..state.failures.group_listing import read_group
from ..state.failures.group_states import GroupState, change_group, group_changes
from .failure_list import FailureGroup, group_fields
from .recovery_list import RecoveryAnswer, describe

MOST_CHANGES = 50
MOST_RECOVERIES = 20


class GroupStateRequest(Payload):
    """A change of a group's state."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        defer_build=True,
        json_schema_extra={
            "example": {"state": "ignored", "note": "a known fault of the model", "until_tasks": 100}
        },
    )

    state: Annotated[
        Literal[GroupState.NEW, GroupState.ACKNOWLEDGED, GroupState.IGNORED, GroupState.RESOLVED],
        Field(description="`regressed` follows from the failures: a resolved group that has come back."),
    ]
    note: Annotated[
        str, Field(min_length=1, max_length=500, pattern=r"\S", description="For the audit trail.")
    ]
    until: Annotated[
        datetime | None,
        Field(description="With `ignored`: the time at which the group is new again. Without a zone, UTC."),
    ] = None
    until_tasks: Annotated[
        int | None,
        Field(ge=1, le=10_000_000, description="With `ignored`: the number of tasks that ends it."),
    ] = None

    @model_validator(mode="after")
    def _only_ignored_groups_have_a_limit(self) -> Self:
        if self.state is not GroupState.IGNORED and (self.until or self.until_tasks):
            raise ValueError("until and until_tasks belong to the state ignored")
        return self


class GroupChangeRow(Payload):
    """A change of a group's state by a person."""

    at: UtcTime
    actor: str
    state: GroupState
    note: str
    until: UtcTime | None
    until_tasks: int | None


class FailureGroupDetail(FailureGroup):
    """A failure group with its history. Without current failures, it has neither tasks nor an example."""

    changes: Annotated[
        list[GroupChangeRow], Field(description=f"The latest {MOST_CHANGES} changes of the state.")
    ]
    recoveries: Annotated[
        list[RecoveryAnswer], Field(description=f"The latest {MOST_RECOVERIES} recoveries of this group.")
    ]


def describe_group(connection: Connection, group_id: str) -> FailureGroupDetail:
    """Read a group with its history.

    Raises:
        FailureGroupNotFoundError: there is no such group.
    """
    fields = group_fields(read_group(connection, group_id))
    return FailureGroupDetail(
        **fields,
        changes=[
            GroupChangeRow.model_validate(change, from_attributes=True)
            for change in group_changes(connection, group_id, MOST_CHANGES)
        ],
        recoveries=[
            describe(connection, recovery)
            for recovery in recoveries_of_group(connection, group_id, MOST_RECOVERIES)
        ],
    )


def set_group_state(
    connection: Connection, group_id: str, request: GroupStateRequest, actor: str
) -> FailureGroupDetail:
    """Change the state of a group and record the change; return the group.

    Raises:
        FailureGroupNotFoundError: there is no such group.
    """
    until = request.until and naive_utc(request.until)
    state = GroupState(request.state)
    change_group(connection, group_id, actor, state, request.note, until, request.until_tasks)
    return describe_group(connection, group_id)
