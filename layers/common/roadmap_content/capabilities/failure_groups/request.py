"""The request to change a group's state."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, StrictInt, model_validator

from ...contracts.payloads import AuditReason, Payload
from ...contracts.states import GroupState


class GroupStateRequest(Payload):
    """A change of a group's state."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"state": "ignored", "note": "a known fault of the model", "until_tasks": 100}
        },
    )

    state: Annotated[
        Literal[GroupState.NEW, GroupState.ACKNOWLEDGED, GroupState.IGNORED, GroupState.RESOLVED],
        Field(description="`regressed` follows from the failures: a resolved group that has come back."),
    ]
    note: AuditReason
    until: Annotated[
        datetime | None,
        Field(description="With `ignored`: the time at which the group is new again. Without a zone, UTC."),
    ] = None
    until_tasks: Annotated[
        StrictInt | None,
        Field(ge=1, le=10_000_000, description="With `ignored`: the number of tasks that ends it."),
    ] = None

    @model_validator(mode="after")
    def _only_ignored_groups_have_a_limit(self) -> Self:
        if self.state is not GroupState.IGNORED and (self.until or self.until_tasks):
            raise ValueError("until and until_tasks belong to the state ignored")
        return self
