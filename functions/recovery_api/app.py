"""The API of recoveries (bulk jobs that retry many tasks), of their capacity, and of failure groups."""

from typing import Annotated

from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query
from sqlalchemy import Connection

from roadmap_content.api.capacity import describe_capacity, set_capacity
from roadmap_content.api.erasure import Erasure, decode_user, due_erasures, erase_user, preview_erasure
from roadmap_content.api.failure_groups import describe_group
from roadmap_content.api.http import Api, answered
from roadmap_content.capabilities.recoveries.answers import describe_latest_of_group
from roadmap_content.capabilities.recoveries.hooks import RECOVERIES
from roadmap_content.capabilities.recoveries.routes import add_recovery_routes
from roadmap_content.contracts.api.capacity import CapacityAnswer, CapacityRequest
from roadmap_content.contracts.api.failures import FailureGroupDetail, GroupStateRequest
from roadmap_content.contracts.erasure import ErasureAnswer, ReplayAnswer
from roadmap_content.platform.aws.clients import preload_for_snapstart
from roadmap_content.platform.postgres.transactions import transact
from roadmap_content.platform.runtime.log import logger
from roadmap_content.state.failures.group_states import change_group
from roadmap_content.state.services import Services

preload_for_snapstart()
services = Services(capabilities=(RECOVERIES,))
api = Api()
app = api.app

GroupId = Annotated[str, Path(pattern=r"^[0-9a-f]{1,32}$", description="The failure group.")]

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


@app.delete(
    "/api/v1/users/<user_id>/content",
    operation_id="erase_user",
    tags=["erasure"],
    summary="Erase a user's data, or preview it",
    responses=answered(ErasureAnswer, "A part of the erasure or of the preview", 409, 422, 503),
)
def delete_content(
    user_id: Annotated[str, Path(description="The user.")],
    exact: Annotated[
        str | None, Query(description="The user again: required if the path has to encode the id.")
    ] = None,
    dry_run: Annotated[bool, Query(description="Only count what would be removed.")] = False,
    product_rows: Annotated[
        bool, Query(description="Delete the product's rows, and the texts that they name, too.")
    ] = False,
    after: Annotated[
        str | None, Query(max_length=1000, description="`after` of the previous answer.")
    ] = None,
    replay: Annotated[
        str | None, Query(max_length=64, description="An erasure to apply again, to what is older.")
    ] = None,
) -> ErasureAnswer:
    """Erase everything of this system that names a user or holds their content.

    Requires the operator's scope. Each request does a part: repeat it with `after` until `complete`, and
    after `waits_until` without it.
    """
    caller = api.caller
    caller.require_operator()
    user = decode_user(user_id, exact)
    request = Erasure(user, caller.actor, product_rows, after, replay)
    return (preview_erasure if dry_run else erase_user)(services, request, api.deadline)


@app.post(
    "/api/v1/erasures/due",
    operation_id="list_due_erasures",
    tags=["erasure"],
    summary="List the erasures to apply again",
    responses=answered(ReplayAnswer, "The users of whom the database has rows again", 503),
)
def post_due() -> ReplayAnswer:
    """After the restore of a backup: unite the register in the database with the one in the bucket, and
    return the erasures to apply again, each with `replay`. Requires the operator's scope.
    """
    api.caller.require_operator()
    return due_erasures(services, api.deadline)


handler = api.handler
