"""Shared parts of the API's functions: the resolver, CORS, refusals, and the description of responses."""

import json
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from types import UnionType
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, Self, TypeVar
from urllib.parse import unquote

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse
from pydantic import BaseModel
from sqlalchemy import Connection

from ..contracts.api.system import Refusal, Unauthorized
from ..contracts.documents import unstorable
from ..contracts.errors import (
    ClaimRefusedError,
    ConflictError,
    ContentError,
    DatabaseUnavailableError,
    ForbiddenError,
    InvalidRequestError,
    MissingResourceError,
    NotAtContentStageError,
    RolesUnavailableError,
    TransientError,
)
from ..contracts.payloads import NOT_BLANK, TASK_ID
from ..contracts.reasons import WITHOUT_DATABASE, sentence_of
from ..platform.aws.awake import keeps_awake
from ..platform.postgres.transactions import InsufficientPrivilegeError, transact
from ..platform.runtime.deadline import Deadline
from ..platform.runtime.log import logger
from ..platform.runtime.metrics import Metric, emit
from ..platform.runtime.settings import Settings
from ..state.services import Services
from .callers import Caller, caller_of

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

BodyT = TypeVar("BodyT", bound=BaseModel)
ReadT = TypeVar("ReadT")


class Answer(Protocol):
    """An answer with texts that operators write, among others."""

    def for_owner(self) -> Self:
        """The answer without them."""


AnswerT = TypeVar("AnswerT", bound=Answer)
P = ParamSpec("P")

_STATUSES: Mapping[type[ContentError], HTTPStatus] = {
    ForbiddenError: HTTPStatus.FORBIDDEN,
    MissingResourceError: HTTPStatus.NOT_FOUND,
    ConflictError: HTTPStatus.CONFLICT,
    InvalidRequestError: HTTPStatus.UNPROCESSABLE_ENTITY,
    TransientError: HTTPStatus.SERVICE_UNAVAILABLE,
    InsufficientPrivilegeError: HTTPStatus.SERVICE_UNAVAILABLE,  # of the database, not of the caller
    ContentError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""The status of each error of this system: that of the first matching type."""

_REFUSALS: Mapping[int, str] = {
    401: "No valid token. API Gateway sends this response before it invokes the function",
    403: "The token does not permit this, or user_id is not its subject",
    404: "The resource does not exist or belongs to another user",
    409: "The state of the task or recovery does not permit this; the message contains the reason",
    422: "A parameter is malformed",
    503: (
        "PostgreSQL, S3 or Step Functions did not answer in time: send the request again. Or PostgreSQL "
        "refused our role (InsufficientPrivilege): the system's health names the table"
    ),
}


class Api:
    """The resolver of one function of the API, and the services that its operations use."""

    def __init__(self, services: Services) -> None:
        self.services = services
        services.is_asked_by_people = True  # its engines give up early
        self.app = APIGatewayRestResolver(enable_validation=True, json_body_deserializer=_decode_body)
        self.app.exception_handler(ContentError)(_refuse)
        self.app.exception_handler(RequestValidationError)(_refuse_invalid)
        self.app.not_found(_refuse_unknown)
        self.app.use([_require_storable])
        # Explicit, because an environment variable could enable it, and an event contains texts of users.
        self.handler = keeps_awake(
            logger.inject_lambda_context(clear_state=True, log_event=False)(self._answer)
        )

    def _answer(self, event: dict[str, Any], context: "LambdaContext") -> dict[str, Any]:
        """Answer a request, so that a page of a configured origin can read every answer. Each log line of the
        invocation contains the ids in the request's path.
        """
        permitted = _cors_headers(event, Settings())
        if event.get("httpMethod") == "OPTIONS":
            return {"statusCode": 204, "headers": permitted, "body": ""}
        logger.append_keys(**_identifiers(event))
        # A body is JSON, whatever its Content-Type says: Powertools would read forms, and fail on some.
        headers = {
            name: value
            for name, value in (event.get("headers") or {}).items()
            if name.lower() != "content-type"
        }
        answer = self.app.resolve(event | {"headers": headers}, context)
        answer["multiValueHeaders"] |= {name: [value] for name, value in permitted.items()}
        return answer

    @property
    def caller(self) -> Caller:
        """The sender of the current request."""
        return caller_of(self.app.current_event.raw_event)

    @property
    def deadline(self) -> Deadline:
        return Deadline.of(self.app.lambda_context)

    def read(
        self, work: Callable[Concatenate[Connection, P], ReadT], *arguments: P.args, **named: P.kwargs
    ) -> ReadT:
        """Run a reading transaction. The reader's role has only the privilege SELECT."""
        return transact(self.services.reading_engine, work, self.deadline, *arguments, **named)

    def for_caller(self, answer: AnswerT) -> AnswerT:
        """An answer, for an owner without the texts that operators wrote."""
        return answer if self.caller.sees_all else answer.for_owner()


def _cors_headers(event: Mapping[str, Any], settings: Settings) -> dict[str, str]:
    """The headers that permit a page of a configured origin to call the API. Another origin gets none, so the
    browser blocks its call. Neither API Gateway (one origin) nor `CORSConfig` of Powertools (no `Vary`,
    headers that are not configured) can do this.
    """
    headers = event.get("headers") or {}
    origin = next((value for name, value in headers.items() if name.lower() == "origin"), None)
    if origin not in settings.cors_origins:
        return {}
    permitted = {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}
    if event.get("httpMethod") != "OPTIONS":
        return permitted | {"Access-Control-Expose-Headers": "ETag,Retry-After"}
    return permitted | {
        "Access-Control-Allow-Methods": "GET,POST,PUT,DELETE,OPTIONS",
        "Access-Control-Allow-Headers": ",".join(settings.cors_headers),
        "Access-Control-Max-Age": "3600",
    }


def _decode_body(body: str) -> Any:  # noqa: ANN401 - any JSON value
    """Decode a body. Raises JSONDecodeError, which the validation answers with 422: also for a body that is
    nested too deep, or has an integer of more digits than Python reads.
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise json.JSONDecodeError(str(error), "", 0) from None


def _require_storable(app: APIGatewayRestResolver, proceed: NextMiddleware) -> Response[Any]:
    """Refuse texts that PostgreSQL cannot store, for the path, all parameters and bodies: stored with another
    character, an id would be another one.
    Raises InvalidRequestError: names the parameter, but not its value.
    """
    event = app.current_event.raw_event
    if unstorable(unquote(event["path"])):
        raise InvalidRequestError("path: holds a character that cannot be stored")
    for name, values in (event.get("multiValueQueryStringParameters") or {}).items():
        if fault := unstorable(values, f"query.{name}"):
            raise InvalidRequestError(fault)
    if event.get("body"):
        try:
            body = app.current_event.json_body
        except ValueError:
            return proceed(app)  # an operation without a body: otherwise, the validation has refused it
        if fault := unstorable(body, "body"):
            raise InvalidRequestError(fault)
    return proceed(app)


def answered(
    model: type[BaseModel] | UnionType, description: str, *refusals: int, status: int = 200
) -> dict[int, OpenAPIResponse]:
    """The OpenAPI descriptions of a successful response, and of the responses to refused requests. Every
    operation requires a token that permits it.
    """
    described: list[tuple[int, str, type[BaseModel] | UnionType]] = [
        (status, description, model),
        (401, _REFUSALS[401], Unauthorized),
        *((refusal, _REFUSALS[refusal], Refusal) for refusal in (403, *refusals)),
    ]
    return {
        number: {"description": text, "content": {"application/json": {"model": body}}}
        for number, text, body in described
    }


def respond(status: int, body: BodyT, headers: dict[str, str] | None = None) -> Response[BodyT]:
    return Response(status, content_types.APPLICATION_JSON, body, headers=dict(headers or {}))


def _identifiers(event: Mapping[str, Any]) -> dict[str, str]:
    """The well-formed ids in the path of a request."""
    parameters = event.get("pathParameters") or {}
    ids = {name: parameters.get(name) or "" for name in ("task_id", "recovery_id")}
    return {name: value for name, value in ids.items() if re.fullmatch(TASK_ID, value)}


def refusal_of(error: ContentError) -> tuple[HTTPStatus, Refusal]:
    """The status and the body for an error. The body of a 5xx contains only the code of the error and
    its sentence, unless its message is made for it; other messages are only logged.
    """
    status = next(status for kind, status in _STATUSES.items() if isinstance(error, kind))
    if status < HTTPStatus.INTERNAL_SERVER_ERROR or isinstance(error, RolesUnavailableError):
        message = str(error)
    elif isinstance(error, DatabaseUnavailableError):
        message = f"The database does not answer{error.since_when}. {WITHOUT_DATABASE}"
    else:
        message = sentence_of(error.code) or status.phrase
    return status, _refusal(
        error.code,
        message,
        attempt=error.attempt if isinstance(error, ClaimRefusedError) else None,
        current_step=error.current_step if isinstance(error, NotAtContentStageError) else None,
    )


def _refuse(error: ContentError) -> Response[Refusal]:
    status, refusal = refusal_of(error)
    if status >= 500 and error.is_excused:
        emit({Metric.API_EXCUSED: 1})
    log = logger.error if status >= 500 else logger.info
    log("request_refused", status=status, **error.why)
    headers = {"Retry-After": "5"} if isinstance(error, TransientError) else {}
    return respond(status, refusal, headers)


def _refuse_invalid(error: RequestValidationError) -> Response[Refusal]:
    """Answer a malformed request. The message contains the parameter's name, but not its value."""
    fault = error.errors()[0]
    place = ".".join(map(str, fault["loc"]))
    wrong = fault["msg"]
    if fault["type"] == "string_pattern_mismatch":  # a caller is not helped by a regular expression
        wrong = "must not be blank" if fault["ctx"]["pattern"] == NOT_BLANK else "not a valid id"
    return respond(422, _refusal(InvalidRequestError.code, f"{place}: {wrong}"))


def _refuse_unknown(_error: NotFoundError) -> Response[Refusal]:
    """Answer a path without a route, such as a task id with an invalid character."""
    return respond(404, _refusal("NotFound", "no resource has this path"))


def _refusal(
    error: str, message: str, *, attempt: int | None = None, current_step: str | None = None
) -> Refusal:
    return Refusal(error=error, message=message, detail=message, attempt=attempt, current_step=current_step)
