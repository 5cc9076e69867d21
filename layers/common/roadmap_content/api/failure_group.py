"""`GET` and `PUT /api/v1/failures/{group_id}`: one failure group with its history, and its state."""

from sqlalchemy import Connection

from ..contracts.api.failures import (
    MOST_CHANGES,
    MOST_RECOVERIES,
    FailureGroupDetail,
    GroupStateRequest,
)
from ..contracts.states import GroupState
from ..contracts.times import naive_utc
from ..runs.recoveries.recovery import recoveries_of_group
from ..state.failures.group_listing import read_group
from ..state.failures.group_states import change_group, group_changes
from .failure_list import group_fields
from .recovery_list import describe


def describe_group(connection: Connection, group_id: str) -> FailureGroupDetail:
    """Read a group with its history.

    Raises:
        FailureGroupNotFoundError: there is no such group.
    """
    fields = group_fields(read_group(connection, group_id))
    return FailureGroupDetail(
        **fields,
        changes=group_changes(connection, group_id, MOST_CHANGES),
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
