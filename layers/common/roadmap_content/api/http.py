"""Shared parts of the API's functions: the resolver, and the format and description of responses."""

import re
from collections.abc import Mapping
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar

from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response, content_types
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.event_handler.openapi.types import OpenAPIResponse
from pydantic import BaseModel

from ..contracts.api.system import Refusal, Unauthorized
from ..contracts.documents import unstorable
from ..contracts.errors import ContentError, InvalidRequestError, TransientError
from ..contracts.payloads import TASK_ID
from ..platform.runtime.deadline import Deadline
from ..platform.runtime.log import logger
from ..platform.runtime.metrics import Metric, emit
from ..platform.runtime.settings import Settings
from .callers import Caller, caller_of
from .cors import Cors, is_preflight
from .refusals import refusal_of

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

BodyT = TypeVar("BodyT", bound=BaseModel)

_REFUSALS: Mapping[int, str] = {
    401: "No valid token. API Gateway sends this response before it invokes the function",
    403: "The token does not permit this, or user_id is not its subject",
    404: "The resource does not exist or belongs to another user",
    409: "The state of the task or recovery does not permit this; the message contains the reason",
    422: "A parameter is malformed",
    503: "PostgreSQL, S3 or Step Functions did not answer in time: send the request again",
}


class Api:
    """The resolver of one function of the API."""

    def __init__(self) -> None:
        self.app = APIGatewayRestResolver(enable_validation=True)
        self.app.exception_handler(ContentError)(_refuse)
        self.app.exception_handler(RequestValidationError)(_refuse_invalid)
        self.app.not_found(_refuse_unknown)
        self.app.use([_require_storable])

    def answer(self, event: dict[str, Any], context: "LambdaContext", settings: Settings) -> dict[str, Any]:
        """Answer a request, so that a page of a configured origin can read every answer.

        Each log line of the invocation contains the ids in the request's path.
        """
        cors = Cors(settings.cors_origins, settings.cors_headers)
        if is_preflight(event):
            return cors.preflight(event)
        logger.append_keys(**_identifiers(event))
        return cors.readable(self.app.resolve(event, context), event)

    @property
    def caller(self) -> Caller:
        """The sender of the current request."""
        return caller_of(self.app.current_event.raw_event)

    @property
    def deadline(self) -> Deadline:
        """The deadline of the current invocation."""
        return Deadline.of(self.app.lambda_context)


def _require_storable(app: APIGatewayRestResolver, proceed: NextMiddleware) -> Response[Any]:
    """Refuse texts that the driver cannot bind, for all parameters and bodies.

    Raises:
        InvalidRequestError: names the parameter, but not its value.
    """
    event = app.current_event.raw_event
    for name, values in (event.get("multiValueQueryStringParameters") or {}).items():
        if fault := unstorable(values, f"query.{name}"):
            raise InvalidRequestError(fault)
    if event.get("body"):
        try:
            body = app.current_event.json_body
        except (ValueError, RecursionError):
            return proceed(app)  # refused by the validation
        if fault := unstorable(body, "body"):
            raise InvalidRequestError(fault)
    return proceed(app)


def refused(*statuses: int) -> dict[int, OpenAPIResponse]:
    """The OpenAPI descriptions of error responses. Every operation requires a token."""
    return {
        status: {
            "description": _REFUSALS[status],
            "content": {"application/json": {"model": Unauthorized if status == 401 else Refusal}},
        }
        for status in (401, *statuses)
    }


def answered(model: type[BaseModel] | UnionType, **descriptions: str) -> dict[int, OpenAPIResponse]:
    """The OpenAPI descriptions of successful responses, by status (`s200="…"`)."""
    return {
        int(status.removeprefix("s")): {
            "description": description,
            "content": {"application/json": {"model": model}},
        }
        for status, description in descriptions.items()
    }


def respond(status: int, body: BodyT, headers: dict[str, str] | None = None) -> Response[BodyT]:
    """A response with the given status."""
    return Response(
        status_code=status,
        content_type=content_types.APPLICATION_JSON,
        body=body,
        headers=dict(headers or {}),
    )


def _identifiers(event: Mapping[str, Any]) -> dict[str, str]:
    """The well-formed ids in the path of a request."""
    parameters = event.get("pathParameters") or {}
    ids = {name: parameters.get(name) or "" for name in ("task_id", "recovery_id")}
    return {name: value for name, value in ids.items() if re.fullmatch(TASK_ID, value)}


def _refuse(error: ContentError) -> Response[Refusal]:
    status, refusal = refusal_of(error)
    if status >= 500 and error.is_excused:
        emit({Metric.API_EXCUSED: 1})
    log = logger.error if status >= 500 else logger.info
    log("request_refused", status=status, error_code=error.code, reason=str(error))
    headers = {"Retry-After": "5"} if isinstance(error, TransientError) else {}
    return respond(status, refusal, headers)


def _refuse_invalid(error: RequestValidationError) -> Response[Refusal]:
    """Answer a malformed request. The message contains the parameter's name, but not its value."""
    fault = error.errors()[0]
    place = ".".join(map(str, fault["loc"]))
    # A caller is not helped by a regular expression.
    wrong = "not a valid id" if fault["type"] == "string_pattern_mismatch" else fault["msg"]
    return respond(422, _refusal(InvalidRequestError.code, f"{place}: {wrong}"))


def _refuse_unknown(_error: NotFoundError) -> Response[Refusal]:
    """Answer a path without a route, such as a task id with an invalid character."""
    return respond(404, _refusal("NotFound", "no resource has this path"))


def _refusal(error: str, message: str) -> Refusal:
    return Refusal(error=error, message=message, detail=message)
