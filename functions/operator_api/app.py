"""The API of the capacity, and of the capabilities for operators: recoveries, failure groups, erasure."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Body

from roadmap_content.api.capacity import describe_capacity, set_capacity
from roadmap_content.api.http import Api, answered
from roadmap_content.capabilities.composed import EVERY
from roadmap_content.capabilities.erasure.routes import add_erasure_routes
from roadmap_content.capabilities.failure_groups.routes import add_failure_group_routes
from roadmap_content.capabilities.recoveries.answers import describe_latest_of_group
from roadmap_content.capabilities.recoveries.routes import add_recovery_routes
from roadmap_content.contracts.api.capacity import CapacityAnswer, CapacityRequest
from roadmap_content.platform.aws.clients import preload_for_snapstart
from roadmap_content.state.services import Services

preload_for_snapstart()
api = Api(Services(capabilities=EVERY))
app = api.app

add_recovery_routes(api)
add_failure_group_routes(api, recoveries_of=describe_latest_of_group)


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
    return api.read(describe_capacity)


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
    set_capacity(api.services, request, api.caller.actor, api.deadline)
    return api.read(describe_capacity)


add_erasure_routes(api)

handler = api.handler
