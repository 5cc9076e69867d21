"""The API: how a task stands, and the next attempt at what it misses."""

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

TaskId = Annotated[str, Path(pattern=TASK_ID, description="The task.")]
UserId = Annotated[str, Query(pattern=USER_ID, description="The task's user: must be the token's subject.")]
Checkpoint = Annotated[bool, Query(description="Redrive the last execution from the state that failed.")]

_REFUSALS: Mapping[int, str] = {
    403: "The token does not prove user_id",
    404: "The user has no such task",
    409: "An attempt is at work on the task, its roadmap cannot be read, or it cannot be redriven",
    422: "A parameter is malformed",
    503: "PostgreSQL or Step Functions did not answer in time: ask again",
}


def _refused(*statuses: int) -> dict[int, OpenAPIResponse]:
    """What the document says of the answers to requests that are not done."""
    return {
        status: {
            "description": _REFUSALS[status],
            "content": {"application/json": {"model": Refusal}},
        }
        for status in statuses
    }


def _answered(model: type[BaseModel], **descriptions: str) -> dict[int, OpenAPIResponse]:
    """What the document says of the answers to requests that are done, by status (`s200="…"`)."""
    return {
        int(status.removeprefix("s")): {
            "description": description,
            "content": {"application/json": {"model": model}},
        }
        for status, description in descriptions.items()
    }


@app.get(
    "/api/v1/tasks/<task_id>",
    summary="How a task stands",
    responses=_answered(TaskStatus, s200="Read from the tables") | _refused(403, 404, 422, 503),
)
def get_task(task_id: TaskId, user_id: UserId) -> TaskStatus:
    """Read from the tables what a task has and what it misses."""
    user = caller_of(app.current_event.raw_event).reads_for(user_id)

    def read(connection: Connection) -> TaskStatus:
        task = read_task(connection, task_id, user)
        return read_status(connection, task, services.framework_cache)

    return transact(services.engine, read, _deadline())


@app.post(
    "/api/v1/tasks/<task_id>/retry",
    summary="Make again what a task misses",
    responses=_answered(RetryAnswer, s200="Nothing is missing", s202="An attempt has been started")
    | _refused(403, 404, 409, 422, 503),
)
def post_retry(
    task_id: TaskId, user_id: UserId, force_checkpoint: Checkpoint = False
) -> Response[RetryAnswer]:
    """Start the next attempt at exactly what PostgreSQL misses."""
    caller = caller_of(app.current_event.raw_event)
    user = caller.changes_for(user_id)
    recover, cause = (redrive_task, Cause.CHECKPOINT) if force_checkpoint else (retry_task, Cause.RETRY)
    answer = recover(services, task_id, user, _deadline(), AttemptStart(caller.actor, cause))
    return _respond(202 if answer.status == "processing" else 200, answer)


@app.exception_handler(ContentError)  # type: ignore[untyped-decorator]
def refuse(error: ContentError) -> Response[Refusal]:
    """Answer what could not be done."""
    status, refusal = refusal_of(error)
    log = logger.error if status >= 500 else logger.info
    log("request_refused", status=status, error_code=error.code, reason=str(error))
    headers = {"Retry-After": "5"} if isinstance(error, TransientError) else {}
    return _respond(status, refusal, headers)


@app.exception_handler(RequestValidationError)  # type: ignore[untyped-decorator]
def refuse_invalid(error: RequestValidationError) -> Response[Refusal]:
    """Answer a request that is not as the document says: in what, but not what stood there."""
    fault = error.errors()[0]
    place = ".".join(map(str, fault["loc"]))
    return _respond(422, Refusal(error="InvalidRequest", message=f"{place}: {fault['msg']}"))


@app.not_found
def refuse_unknown(_error: NotFoundError) -> Response[Refusal]:
    """Answer where no route leads: an id with a character that no id has is not routed at all."""
    return _respond(404, Refusal(error="NotFound", message="there is nothing at this path"))


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
    """Answer a request of API Gateway."""
    return app.resolve(event, context)
