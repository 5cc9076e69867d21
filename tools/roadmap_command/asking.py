"""Requests of the commands to the API. Errors have the API's own messages."""

from http import HTTPStatus
from typing import Any

from local_stack.errors import RefusedError
from roadmap_command.api_client import Api
from roadmap_content.errors import TransientError

MAX_PAGE = 200


class ApiUnavailableError(TransientError):
    """The API failed, or its response is not JSON."""

    code = "ApiUnavailable"


def ask(api: Api, method: str, path: str, document: object = None, **query: Any) -> Any:  # noqa: ANN401 - JSON
    """Send a request below `/api/v1`; return the document of the response.

    Raises:
        RefusedError: the API refused it; the message is the API's.
        ApiUnavailableError: it failed.
    """
    answer = api.send(method, path, document, **query)
    if answer.status < HTTPStatus.BAD_REQUEST:
        return answer.body
    message = answer.body.get("message") if isinstance(answer.body, dict) else answer.body
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise ApiUnavailableError(f"{answer.status}: {message}")
    raise RefusedError(f"{answer.status}: {message}")


def pages(api: Api, path: str, limit: int, **query: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:  # noqa: ANN401
    """Read at most `limit` rows of a list; return them, and the last page."""
    rows: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = ask(api, "GET", path, limit=str(min(limit - len(rows), MAX_PAGE)), **query, **cursor)
        rows += page["items"]
        if page["next_cursor"] is None or len(rows) >= limit:
            return rows, page
        cursor = {"cursor": page["next_cursor"]}
