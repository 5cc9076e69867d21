"""The REST API of tasks: get a task's status and retry its missing items."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import BaseModel
from sqlalchemy import Connection

from roadmap_content.api.callers import caller_of
from roadmap_content.api.refusals import TASK_ID, USER_ID, Refusal, refusal_of
from roadmap_content.api.retry import RetryAnswer, redrive_task, retry_task
from roadmap_content.api.status import TaskStatus, read_status
from roadmap_content.errors import ContentError, TransientError
from roadmap_content.postgres.transactions import transact
from roadmap_content.runtime.deadline import Deadline
from roadmap_content.runtime.log import logger
from roadmap_content.runtime.preload import preload_for_snapstart
from roadmap_content.services import Services
from roadmap_content.tasks.attempts import AttemptStart, Cause
from roadmap_content.tasks.task import read_task

BodyT = TypeVar("BodyT", bound=BaseModel)

preload_for_snapstart()
services = Services()
app = APIGatewayRestResolver(enable_validation=True)

TaskId = Annotated[str, Path(pattern=TASK_ID, description="The id of the task.")]
UserId = Annotated[
    str, Query(pattern=USER_ID, description="The owner of the task. Must equal the token's subject.")
]
Checkpoint = Annotated[bool, Query(description="Redrive the last execution from the state that failed.")]

_REFUSALS: Mapping[int, str] = {
    403: "user_id is not the token's subject",
    404: "The task does not exist or belongs to another user",
    409: "An attempt is running, the roadmap cannot be read, or the execution cannot be redriven",
    422: "A parameter is malformed",
    503: "PostgreSQL or Step Functions did not respond in time; try again",
}


def _refused(*statuses: int) -> dict[int, OpenAPIResponse]:
    """The OpenAPI descriptions of error responses."""
    return {
        status: {
            "description": _REFUSALS[status],
            "content": {"application/json": {"model": Refusal}},
        }
        for status in statuses
    }


def _answered(model: type[BaseModel], **descriptions: str) -> dict[int, OpenAPIResponse]:
    """The OpenAPI descriptions of successful responses, by status (`s200="…"`)."""
    return {
        int(status.removeprefix("s")): {
            "description": description,
            "content": {"application/json": {"model": model}},
        }
        for status, description in descriptions.items()
    }


@app.get(
    "/api/v1/tasks/<task_id>",
    summary="Get a task's status",
    responses=_answered(TaskStatus, s200="The task's status and its missing items")
    | _refused(403, 404, 422, 503),
)
def get_task(task_id: TaskId, user_id: UserId) -> TaskStatus:
    """Return the status of a task, with saved and missing items computed from the content tables."""
    user = caller_of(app.current_event.raw_event).reads_for(user_id)

    def read(connection: Connection) -> TaskStatus:
        task = read_task(connection, task_id, user)
        return read_status(connection, task, services.framework_cache)

    return transact(services.engine, read, _deadline())


@app.post(
    "/api/v1/tasks/<task_id>/retry",
    summary="Retry a task's missing items",
    responses=_answered(RetryAnswer, s200="Nothing is missing", s202="An attempt was started")
    | _refused(403, 404, 409, 422, 503),
)
def post_retry(
    task_id: TaskId, user_id: UserId, force_checkpoint: Checkpoint = False
) -> Response[RetryAnswer]:
    """Start a new attempt for the items that are missing from the content tables."""
    caller = caller_of(app.current_event.raw_event)
    user = caller.changes_for(user_id)
    recover, cause = (redrive_task, Cause.CHECKPOINT) if force_checkpoint else (retry_task, Cause.RETRY)
    answer = recover(services, task_id, user, _deadline(), AttemptStart(caller.actor, cause))
    return _respond(202 if answer.status == "processing" else 200, answer)


@app.exception_handler(ContentError)  # type: ignore[untyped-decorator]
def refuse(error: ContentError) -> Response[Refusal]:
    """Answer a request that failed with an error of this system."""
    status, refusal = refusal_of(error)
    log = logger.error if status >= 500 else logger.info
    log("request_refused", status=status, error_code=error.code, reason=str(error))
    headers = {"Retry-After": "5"} if isinstance(error, TransientError) else {}
    return _respond(status, refusal, headers)


@app.exception_handler(RequestValidationError)  # type: ignore[untyped-decorator]
def refuse_invalid(error: RequestValidationError) -> Response[Refusal]:
    """Answer a malformed request. Names the parameter, but does not repeat its value."""
    fault = error.errors()[0]
    place = ".".join(map(str, fault["loc"]))
    return _respond(422, Refusal(error="InvalidRequest", message=f"{place}: {fault['msg']}"))


@app.not_found
def refuse_unknown(_error: NotFoundError) -> Response[Refusal]:
    """Answer a path without a route, such as a task id with an invalid character."""
    return _respond(404, Refusal(error="NotFound", message="no resource has this path"))


def _respond(status: int, body: BodyT, headers: dict[str, str] | None = None) -> Response[BodyT]:
    return Response(
        status_code=status,
        content_type=content_types.APPLICATION_JSON,
        body=body,
        headers=dict(headers or {}),
    )


def _deadline() -> Deadline:
    return Deadline.of(app.lambda_context)


@logger.inject_lambda_context(clear_state=True, log_event=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer a request from API Gateway."""
    return app.resolve(event, context)
