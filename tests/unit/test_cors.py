"""The origins from which a browser may call the API, and the headers that it may send: on every route."""

import json
import re
from types import ModuleType
from typing import Any

import pytest

import functions.operator_api.app as operator_api
import functions.task_api.app as task_api
from roadmap_content.api.http import Api
from roadmap_content.contracts.errors import (
    AtWorkElsewhereError,
    ContentError,
    DatabaseUnavailableError,
    ForbiddenError,
    InvalidRequestError,
    TaskNotFoundError,
)
from roadmap_content.platform.authorization.authenticate import UnauthorizedError
from tests.support.requests_to_api import Context
from tests.support.templates import STACK

PAGE = "https://learn.example"
PARAMETERS = STACK["Parameters"]
SETTINGS = {
    "CORS_ORIGINS": f"{PAGE}, http://localhost:3000",
    "CORS_HEADERS": PARAMETERS["CorsHeaders"]["Default"],
}
IDS = {"<attempt>": "1", "<content_type>": "quiz", "<group_id>": "0" * 16}
ROUTES = [
    (module, route.method, re.sub("<[a-z_]+>", lambda name: IDS.get(name[0], "x"), route.path))
    for module in (task_api, operator_api)
    for route in (*module.app._static_routes, *module.app._dynamic_routes)  # noqa: SLF001 - of the library
]
ERRORS: dict[int, ContentError] = {
    403: ForbiddenError("not yours"),
    404: TaskNotFoundError("none"),
    409: AtWorkElsewhereError("elsewhere"),
    422: InvalidRequestError("malformed"),
    500: UnauthorizedError("an error without a status of its own"),
    503: DatabaseUnavailableError("later"),
}


def body_of(method: str, path: str) -> dict[str, Any] | None:
    """A valid body, where a route has one."""
    if method == "PUT":
        return {"state": "resolved", "note": "n"} if "/failures/" in path else {"slots": 1, "reason": "r"}
    return {"filter": {}, "reason": "r"} if method == "POST" and not path.endswith("/retry") else None


def event(method: str, path: str, origin: str | None = PAGE, name: str = "origin") -> dict[str, Any]:
    return {
        "httpMethod": method,
        "path": path,
        "resource": path,
        "headers": {} if origin is None else {name: origin},
        "multiValueHeaders": {},
        "queryStringParameters": {"concept_id": "c"},
        "multiValueQueryStringParameters": {"concept_id": ["c"]},
        "requestContext": {"authorizer": {}, "requestId": "r", "path": path, "stage": "live"},
        "body": json.dumps(body_of(method, path)),
        "isBase64Encoded": False,
    }


def headers_of(answer: dict[str, Any]) -> dict[str, str]:
    multiple = {name: ",".join(values) for name, values in (answer.get("multiValueHeaders") or {}).items()}
    return {name.lower(): value for name, value in ({**(answer.get("headers") or {}), **multiple}).items()}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)


def answer_of(module: ModuleType, request: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = module.handler(request, Context())
    return answer


@pytest.mark.parametrize(("status", "error"), ERRORS.items())
def test_every_answer_can_be_read_by_a_configured_page(
    status: int, error: ContentError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Api) -> None:
        raise error

    monkeypatch.setattr(Api, "caller", property(fail))
    assert len(ROUTES) > 15
    for module, method, path in ROUTES:
        for origin, allowed in ((PAGE, PAGE), ("https://evil.example", None), (None, None)):
            answer = answer_of(module, event(method, path, origin))
            assert answer["statusCode"] == status, (method, path)
            assert headers_of(answer).get("access-control-allow-origin") == allowed, (method, path)


@pytest.mark.parametrize("name", ["origin", "Origin"])
def test_a_preflight_permits_the_route_s_method_and_the_product_s_headers(name: str) -> None:
    for module, method, path in ROUTES:
        answer = answer_of(module, event("OPTIONS", path, name=name))
        headers = headers_of(answer)
        assert answer["statusCode"] == 204, path
        assert headers["access-control-allow-origin"] == PAGE, path
        assert headers["vary"] == "Origin", path
        assert method in headers["access-control-allow-methods"].split(","), path
        permitted = headers["access-control-allow-headers"].lower().split(",")
        assert {"authorization", "content-type", "x-trace-id", "x-user-id"} <= set(permitted), path


def test_the_permitted_headers_are_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORS_HEADERS", "Authorization, X-Own")
    headers = headers_of(answer_of(operator_api, event("OPTIONS", "/api/v1/recoveries")))
    assert headers["access-control-allow-headers"] == "Authorization,X-Own"


@pytest.mark.parametrize("origin", [None, "https://evil.example", "null", ""])
def test_another_origin_gets_no_header(origin: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert headers_of(answer_of(task_api, event("OPTIONS", "/api/v1/tasks", origin))) == {}
    monkeypatch.delenv("CORS_ORIGINS")
    assert headers_of(answer_of(task_api, event("OPTIONS", "/api/v1/tasks"))) == {}


def test_a_request_without_headers_is_answered() -> None:
    answer = answer_of(task_api, event("GET", "/api/v1/unknown") | {"headers": None})
    assert answer["statusCode"] == 404
    assert "access-control-allow-origin" not in headers_of(answer)
