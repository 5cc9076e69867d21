"""The API of failure groups."""

from collections.abc import Callable, Sequence
from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query
from sqlalchemy import Connection

from ...api.http import Api, answered
from ...api.parameters import (
    Cursor,
    ErrorCode,
    FailingGroup,
    FailingType,
    Limit,
    Prefix,
    Statuses,
    Time,
    UserId,
)
from ...contracts.api.failures import FailureGroupDetail, FailureHistory, FailurePage
from ...contracts.api.recoveries import RecoveryAnswer
from ...contracts.states import GroupState
from ...platform.postgres.transactions import transact
from ...platform.runtime.log import logger
from .answers import describe_group, describe_history, list_failures
from .request import GroupStateRequest
from .states import change_group

GroupStates = Annotated[
    list[GroupState] | None, Query(max_length=5, description="Groups in one or more states.")
]
Days = Annotated[int, Query(ge=1, le=7, description="The days until now.")]
GroupId = Annotated[str, Path(pattern=r"^[0-9a-f]{1,32}$", description="The failure group.")]


def add_failure_list(api: Api) -> None:
    """Add the list of failure groups to a function's API."""
    app = api.app

    @app.get(
        "/api/v1/failures",
        operation_id="list_failures",
        tags=["failures"],
        summary="List groups of current failures",
        responses=answered(FailurePage, "A page of groups, largest first", 422, 503),
    )
    def get_failures(
        status: Statuses = None,
        error_code: ErrorCode = None,
        content_type: FailingType = None,
        user_id: UserId = None,
        updated_after: Time = None,
        updated_before: Time = None,
        q: Prefix = None,
        group_id: FailingGroup = None,
        state: GroupStates = None,
        cursor: Cursor = None,
        limit: Limit = 50,
    ) -> FailurePage:
        """List current failures, grouped by error code, stage and normalised reason."""
        chosen = api.caller.filter(
            user_id,
            status=status,
            error_code=error_code,
            content_type=content_type,
            updated_after=updated_after,
            updated_before=updated_before,
            q=q,
            group_id=group_id,
        )
        capabilities = api.services.capabilities
        return api.for_caller(api.read(list_failures, capabilities, chosen, state or (), cursor, limit))

    @app.get(
        "/api/v1/failure-hours",
        operation_id="get_failure_history",
        tags=["failures"],
        summary="Get the failures of the last day or week",
        responses=answered(FailureHistory, "The failures by hour, and the groups that have healed", 422, 503),
    )
    def get_failure_history(days: Days = 1) -> FailureHistory:
        """Get the failures of the last days, also healed ones, and the causes of the healing. Requires the
        operator's or the viewer's scope.
        """
        api.caller.require_sight()
        return api.read(describe_history, days)


def add_failure_group_routes(
    api: Api,
    recoveries_of: Callable[[Connection, str], Sequence[RecoveryAnswer]] = lambda *_: (),
) -> None:
    """Add the operations of one failure group; `recoveries_of` reads the latest recoveries of a group."""
    app = api.app

    def describe(connection: Connection, group_id: str) -> FailureGroupDetail:
        recoveries = recoveries_of(connection, group_id)
        return describe_group(connection, api.services.capabilities, group_id, recoveries)

    @app.get(
        "/api/v1/failures/<group_id>",
        operation_id="get_failure_group",
        tags=["failures"],
        summary="Get a failure group",
        responses=answered(
            FailureGroupDetail, "The group, the changes of its state and its recoveries", 404, 422, 503
        ),
    )
    def get_failure_group(group_id: GroupId) -> FailureGroupDetail:
        """Get a failure group with its history. Requires the operator's or the viewer's scope."""
        api.caller.require_sight()
        return api.read(describe, group_id)

    @app.put(
        "/api/v1/failures/<group_id>",
        operation_id="change_failure_group",
        tags=["failures"],
        summary="Acknowledge, ignore, resolve or reopen a failure group",
        responses=answered(FailureGroupDetail, "The group after the change", 404, 422, 503),
    )
    def put_failure_group(
        group_id: GroupId, request: Annotated[GroupStateRequest, Body()]
    ) -> FailureGroupDetail:
        """Change the state of a failure group, for everybody. Only new and regressed groups call a person.

        An acknowledged group is resolved when its last failure is gone. A resolved group that comes back is
        `regressed`.
        """
        api.caller.require_operator()

        def change(connection: Connection) -> FailureGroupDetail:
            change_group(connection, group_id, api.caller.actor, request)
            return describe(connection, group_id)

        answer = transact(api.services.engine, change, api.deadline)
        logger.info("failure_group_changed", group_id=group_id, actor=api.caller.actor, state=request.state)
        return answer
