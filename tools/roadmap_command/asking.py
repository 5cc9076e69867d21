"""How commands ask the API: an answer, or an error with the API's own words."""

from http import HTTPStatus
from typing import Any

from local_stack.errors import RefusedError
from roadmap_command.api_client import Api
from roadmap_content.errors import TransientError

MAX_PAGE = 200


class ApiUnavailableError(TransientError):
    """The API did not answer as an API does."""

    code = "ApiUnavailable"


def ask(api: Api, method: str, path: str, document: object = None, **query: Any) -> Any:  # noqa: ANN401 - JSON
    """Send a request below `/api/v1`; the answer's document.

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
    """At most `limit` rows of a list, and its last page."""
    rows: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = ask(api, "GET", path, limit=str(min(limit - len(rows), MAX_PAGE)), **query, **cursor)
        rows += page["items"]
        if page["next_cursor"] is None or len(rows) >= limit:
            return rows, page
        cursor = {"cursor": page["next_cursor"]}
