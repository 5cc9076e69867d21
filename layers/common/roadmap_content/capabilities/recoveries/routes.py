"""The API of recoveries."""

from collections.abc import Callable
from typing import Annotated, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Body, Path, Query

from ...api.http import Api, answered, respond
from ...api.parameters import Cursor, Limit, Reason
from ...contracts.api.recoveries import (
    RecoveryAnswer,
    RecoveryPage,
    RecoveryPreview,
    RecoveryTaskPage,
    UndoAnswer,
)
from ...contracts.states import TaskResult
from ...platform.runtime.deadline import Deadline
from ...platform.runtime.log import logger
from ...state.services import Services
from . import advance
from .answers import describe_one, list_recoveries, list_recovery_tasks
from .create import create, preview
from .recovery import read_recovery
from .request import RecoveryRequest
from .undo import undo_recovery

DryRun = Annotated[bool, Query(description="Count the tasks that are left. Nothing is restored.")]
RecoveryId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="The recovery.")]


def add_recovery_routes(api: Api) -> None:
    """Add the operations of recoveries to a function's API."""
    app = api.app

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
        recovery is created. Each stays readable until its successor is saved; an item that is changed
        meanwhile is left alone. With an `instruction`, they are changed accordingly.
        """
        api.caller.require_operator()
        request = request.in_utc()
        if request.dry_run:
            return respond(200, api.read(preview, api.services, request))
        recovery_id = create(api.services, request, api.caller.actor, api.deadline)
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
        return api.read(list_recoveries, cursor, limit)

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
        return api.read(list_recovery_tasks, recovery_id, result, cursor, limit)

    @app.post(
        "/api/v1/recoveries/<recovery_id>/pause",
        operation_id="pause_recovery",
        tags=["recoveries"],
        summary="Pause a recovery",
        responses=answered(RecoveryAnswer, "The recovery is paused", 404, 409, 422, 503),
    )
    def post_pause(recovery_id: RecoveryId, reason: Reason = None) -> RecoveryAnswer:
        """Start no further tasks until the recovery is resumed. Running tasks continue."""
        api.caller.require_operator()
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
        api.caller.require_operator()
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
        api.caller.require_operator()
        return _change(advance.cancel, recovery_id, reason)

    @app.post(
        "/api/v1/recoveries/<recovery_id>/undo",
        operation_id="undo_recovery",
        tags=["recoveries"],
        summary="Undo a regeneration",
        responses=answered(UndoAnswer, "What was restored so far", 404, 409, 422, 503),
    )
    def post_undo(recovery_id: RecoveryId, reason: Reason = None, dry_run: DryRun = False) -> UndoAnswer:
        """Restore the revision that each item had before an ended recovery regenerated it.

        An item that was changed since is left alone; the recovery's tasks list it. Repeat the request until
        `complete`: each one continues.
        """
        api.caller.require_operator()
        actor = api.caller.actor
        return undo_recovery(api.services, recovery_id, actor, api.deadline, reason, dry_run=dry_run)

    def _change(
        change: Callable[[Services, str, Deadline], None], recovery_id: str, reason: str | None
    ) -> RecoveryAnswer:
        change(api.services, recovery_id, api.deadline)
        logger.info(
            "recovery_change_requested", recovery_id=recovery_id, actor=api.caller.actor, reason=reason
        )
        return _read(recovery_id)

    def _read(recovery_id: str) -> RecoveryAnswer:
        return api.read(lambda connection: describe_one(connection, read_recovery(connection, recovery_id)))
