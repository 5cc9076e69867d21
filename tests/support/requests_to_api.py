"""Requests to the API's functions in the format of API Gateway, without HTTP."""

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext

from roadmap_content.state.services import Services
from tests.support.factories import USER


class Reply(NamedTuple):
    """A response with its decoded body."""

    status: int
    body: Any
    headers: Mapping[str, str]


Ask = Callable[..., Reply]
"""Sends a request: a method, a path below `/api/v1`, a query, and the other parameters of `request`."""

OPERATOR: dict[str, Any] = {"user_id": "op", "roles": "owner,operator"}


class Context(LambdaContext):
    """The context that Lambda passes to an invocation."""

    _function_name = "task-api"
    _function_version = "1"
    _invoked_function_arn = "arn:aws:lambda:us-east-1:123456789012:function:task-api"
    _memory_limit_in_mb = 1024
    _aws_request_id = "request"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """The timeout in the template."""
        return 28_000


def functions_with(services: Services, patch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Let the API's functions use services; return a look-up of the one for a path below `/api/v1`."""
    task_api, operator_api = (
        importlib.import_module(f"functions.{name}.app") for name in ("task_api", "operator_api")
    )
    for function in (task_api, operator_api):
        patch.setattr(function.api, "services", services)
    operators = ("/recoveries", "/capacity", "/failures/", "/users/", "/erasures/")
    return lambda path: operator_api if path.startswith(operators) else task_api


def request(
    module: ModuleType,
    method: str,
    path: str,
    query: Mapping[str, str | Sequence[str]] | None = None,
    *,
    user_id: str | None = USER,
    roles: str = "owner",
    tenant: str | None = None,
    body: object = None,
    headers: Mapping[str, str] | None = None,
) -> Reply:
    """Invoke a function of the API for a user; without a user, as if the authorizer had verified no token."""
    many = {name: [value] if isinstance(value, str) else list(value) for name, value in (query or {}).items()}
    authorizer = {} if user_id is None else {"user_id": user_id, "roles": roles}
    if tenant is not None:
        authorizer["tenant"] = tenant
    sent = {"content-type": "application/json", **(headers or {})}
    event = {
        "resource": path,
        "path": path,
        "httpMethod": method,
        "headers": sent,
        "multiValueHeaders": {name: [value] for name, value in sent.items()},
        "queryStringParameters": {name: values[-1] for name, values in many.items()} or None,
        "multiValueQueryStringParameters": many or None,
        "pathParameters": None,
        "stageVariables": None,
        "requestContext": {"authorizer": authorizer, "requestId": "r", "path": path, "stage": "prod"},
        "body": body if body is None or isinstance(body, str) else json.dumps(body),
        "isBase64Encoded": False,
    }
    answer = module.handler(event, Context())
    received = {name: values[0] for name, values in answer["multiValueHeaders"].items()}
    return Reply(answer["statusCode"], json.loads(answer["body"]) if answer["body"] else None, received)
