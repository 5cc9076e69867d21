"""The API of recoveries (bulk jobs that retry many tasks), of their capacity, and of failure groups."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Body, Path
from sqlalchemy import Connection

from roadmap_content.api.capacity import describe_capacity, set_capacity
from roadmap_content.api.failure_groups import describe_group
from roadmap_content.api.http import Api, answered
from roadmap_content.capabilities.composed import EVERY
from roadmap_content.capabilities.erasure.routes import add_erasure_routes
from roadmap_content.capabilities.recoveries.answers import describe_latest_of_group
from roadmap_content.capabilities.recoveries.routes import add_recovery_routes
from roadmap_content.contracts.api.capacity import CapacityAnswer, CapacityRequest
from roadmap_content.contracts.api.failures import FailureGroupDetail, GroupStateRequest
from roadmap_content.platform.aws.clients import preload_for_snapstart
from roadmap_content.platform.postgres.transactions import transact
from roadmap_content.platform.runtime.log import logger
from roadmap_content.state.failures.group_states import change_group
from roadmap_content.state.services import Services

preload_for_snapstart()
services = Services(capabilities=EVERY)
api = Api()
app = api.app

GroupId = Annotated[str, Path(pattern=r"^[0-9a-f]{1,32}$", description="The failure group.")]

add_erasure_routes(api, lambda: services)
add_recovery_routes(api, lambda: services)


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
    return api.read(services, lambda connection: _describe_group(connection, group_id))


@app.put(
    "/api/v1/failures/<group_id>",
    operation_id="change_failure_group",
    tags=["failures"],
    summary="Acknowledge, ignore, resolve or reopen a failure group",
    responses=answered(FailureGroupDetail, "The group after the change", 404, 422, 503),
)
def put_failure_group(group_id: GroupId, request: Annotated[GroupStateRequest, Body()]) -> FailureGroupDetail:
    """Change the state of a failure group, for everybody. Only new and regressed groups call a person.

    An acknowledged group is resolved when its last failure is gone. A resolved group that comes back is
    `regressed`.
    """
    api.caller.require_operator()

    def change(connection: Connection) -> FailureGroupDetail:
        change_group(connection, group_id, api.caller.actor, request)
        return _describe_group(connection, group_id)

    answer = transact(services.engine, change, api.deadline)
    logger.info("failure_group_changed", group_id=group_id, actor=api.caller.actor, state=request.state)
    return answer


def _describe_group(connection: Connection, group_id: str) -> FailureGroupDetail:
    return describe_group(connection, group_id, describe_latest_of_group(connection, group_id))


@app.get(
    "/api/v1/capacity",
    operation_id="get_capacity",
    tags=["capacity"],
    summary="Get the capacity and the queue",
    responses=answered(CapacityAnswer, "The slots, the stop switch, the queue and the latest changes", 503),
)
def get_capacity() -> CapacityAnswer:
    """Return the capacity, and the attempts that wait or work, by class and by user."""
    api.caller.require_operator()
    return api.read(services, describe_capacity)


@app.put(
    "/api/v1/capacity",
    operation_id="change_capacity",
    tags=["capacity"],
    summary="Change the capacity, stop or resume generation",
    responses=answered(CapacityAnswer, "The capacity after the change", 422, 503),
)
def put_capacity(request: Annotated[CapacityRequest, Body()]) -> CapacityAnswer:
    """Change the number of slots, or stop generation for all tasks. It takes effect within seconds.

    While generation is stopped, no attempt is admitted, running attempts generate no further item, and
    nothing is lost: everything continues when it is resumed.
    """
    api.caller.require_operator()
    set_capacity(services, request, api.caller.actor, api.deadline)
    return api.read(services, describe_capacity)


handler = api.handler
