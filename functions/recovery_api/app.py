"""The API of recoveries (bulk jobs that retry many tasks), of their capacity, and of failure groups."""

from collections.abc import Callable
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query
from sqlalchemy import Connection

from roadmap_content.api.capacity import describe_capacity, set_capacity
from roadmap_content.api.erasure import Erasure, decode_user, due_erasures, erase_user, preview_erasure
from roadmap_content.api.failure_groups import describe_group
from roadmap_content.api.http import Api, answered, respond
from roadmap_content.api.parameters import Cursor, Limit, Reason
from roadmap_content.capabilities.recoveries import advance
from roadmap_content.capabilities.recoveries.answers import (
    describe,
    describe_latest_of_group,
    limits_of,
    list_recoveries,
    list_recovery_tasks,
)
from roadmap_content.capabilities.recoveries.create import create, preview
from roadmap_content.capabilities.recoveries.hooks import RECOVERIES
from roadmap_content.capabilities.recoveries.undo import undo_recovery
from roadmap_content.contracts.api.capacity import CapacityAnswer, CapacityRequest
from roadmap_content.contracts.api.failures import FailureGroupDetail, GroupStateRequest
from roadmap_content.contracts.api.recoveries import (
    RecoveryAnswer,
    RecoveryFilter,
    RecoveryPage,
    RecoveryPreview,
    RecoveryRequest,
    RecoveryTaskPage,
    RegenerationFilter,
    UndoAnswer,
)
from roadmap_content.contracts.erasure import ErasureAnswer, ReplayAnswer
from roadmap_content.contracts.states import TaskResult
from roadmap_content.platform.aws.clients import preload_for_snapstart
from roadmap_content.platform.postgres.transactions import transact
from roadmap_content.platform.runtime.deadline import Deadline
from roadmap_content.platform.runtime.log import logger
from roadmap_content.state.failures.group_states import change_group
from roadmap_content.state.services import Services

preload_for_snapstart()
services = Services(capabilities=(RECOVERIES,))
api = Api()
app = api.app

GroupId = Annotated[str, Path(pattern=r"^[0-9a-f]{1,32}$", description="The failure group.")]
RecoveryId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The recovery.")]


@app.post(
    "/api/v1/recoveries",
    operation_id="create_recovery",
    tags=["recoveries"],
    summary="Create a recovery, or preview one",
    responses=answered(RecoveryPreview, "With dry_run, the preview")
    | answered(RecoveryAnswer, "The recovery was created", 422, 503, status=201),
)
def post_recovery(request: Annotated[RecoveryRequest, Body()]) -> Response[Any]:
    """Retry the tasks that a filter currently selects, with a rate limit and other limits.

    If the filter names a cause (`group_id`, `error_code`, `content_type`), only items with this cause are
    retried; with `all_missing`, every missing item of the tasks.

    With `regenerate`, saved items of these tasks are replaced: those that its conditions select when the
    recovery is created. Each stays readable until its successor is saved; an item that is changed meanwhile
    is left alone.
    """
    api.caller.require_operator()
    task_filter = RecoveryFilter.in_utc(dict(request.filter))
    regeneration = request.regenerate and RegenerationFilter.in_utc(dict(request.regenerate))
    limits = limits_of(request)
    if request.dry_run:
        found = api.read(services, lambda connection: preview(connection, task_filter, limits, regeneration))
        return respond(200, found)
    subject = task_filter, limits, api.caller.actor, request.reason
    recovery_id = create(services, *subject, api.deadline, regeneration)
    return respond(201, _read(recovery_id))


@app.get(
    "/api/v1/recoveries",
    operation_id="list_recoveries",
    tags=["recoveries"],
    summary="List recoveries",
    responses=answered(RecoveryPage, "A page of recoveries, newest first", 422, 503),
)
def get_recoveries(cursor: Cursor = None, limit: Limit = 50) -> RecoveryPage:
    """List recoveries with their counts."""
    api.caller.require_sight()
    return api.read(services, lambda connection: list_recoveries(connection, cursor, limit))


@app.get(
    "/api/v1/recoveries/<recovery_id>",
    operation_id="get_recovery",
    tags=["recoveries"],
    summary="Get a recovery",
    responses=answered(RecoveryAnswer, "The recovery", 404, 422, 503),
)
def get_recovery(recovery_id: RecoveryId) -> RecoveryAnswer:
    """Get a recovery with its counts."""
    api.caller.require_sight()
    return _read(recovery_id)


@app.get(
    "/api/v1/recoveries/<recovery_id>/tasks",
    operation_id="list_recovery_tasks",
    tags=["recoveries"],
    summary="List a recovery's tasks",
    responses=answered(
        RecoveryTaskPage, "A page of tasks, in the order in which they are started", 404, 422, 503
    ),
)
def get_recovery_tasks(
    recovery_id: RecoveryId,
    result: Annotated[TaskResult | None, Query(description="Only tasks with this result.")] = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> RecoveryTaskPage:
    """List the result of each task."""
    api.caller.require_sight()
    return api.read(
        services, lambda connection: list_recovery_tasks(connection, recovery_id, result, cursor, limit)
    )


@app.post(
    "/api/v1/recoveries/<recovery_id>/pause",
    operation_id="pause_recovery",
    tags=["recoveries"],
    summary="Pause a recovery",
    responses=answered(RecoveryAnswer, "The recovery is paused", 404, 409, 422, 503),
)
def post_pause(recovery_id: RecoveryId, reason: Reason = None) -> RecoveryAnswer:
    """Start no further tasks until the recovery is resumed. Running tasks continue."""
    return _change(advance.pause, recovery_id, reason)


@app.post(
    "/api/v1/recoveries/<recovery_id>/resume",
    operation_id="resume_recovery",
    tags=["recoveries"],
    summary="Resume a recovery",
    responses=answered(RecoveryAnswer, "The recovery continues", 404, 409, 422, 503),
)
def post_resume(recovery_id: RecoveryId, reason: Reason = None) -> RecoveryAnswer:
    """Resume a paused recovery."""
    return _change(advance.resume, recovery_id, reason)


@app.post(
    "/api/v1/recoveries/<recovery_id>/cancel",
    operation_id="cancel_recovery",
    tags=["recoveries"],
    summary="Cancel a recovery",
    responses=answered(RecoveryAnswer, "The recovery is cancelled", 404, 409, 422, 503),
)
def post_cancel(recovery_id: RecoveryId, reason: Reason = None) -> RecoveryAnswer:
    """Start no further tasks, permanently. Attempts that wait for a slot end; running tasks continue."""
    return _change(advance.cancel, recovery_id, reason)


@app.post(
    "/api/v1/recoveries/<recovery_id>/undo",
    operation_id="undo_recovery",
    tags=["recoveries"],
    summary="Undo a regeneration",
    responses=answered(UndoAnswer, "What was restored so far", 404, 409, 422, 503),
)
def post_undo(recovery_id: RecoveryId, reason: Reason = None) -> UndoAnswer:
    """Restore the revision that each item had before an ended recovery regenerated it.

    An item that was changed since is left alone; the recovery's tasks list it. Repeat the request until
    `complete`: each one continues.
    """
    api.caller.require_operator()
    return undo_recovery(services, recovery_id, api.caller.actor, api.deadline, reason)


def _change(
    change: Callable[[Services, str, Deadline], None], recovery_id: str, reason: str | None
) -> RecoveryAnswer:
    api.caller.require_operator()
    change(services, recovery_id, api.deadline)
    logger.info("recovery_changed_by", recovery_id=recovery_id, actor=api.caller.actor, reason=reason)
    return _read(recovery_id)


def _read(recovery_id: str) -> RecoveryAnswer:
    return api.read(
        services, lambda connection: describe(connection, advance.require_recovery(connection, recovery_id))
    )


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
