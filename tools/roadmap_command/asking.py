"""Requests of the commands to the API. Errors have the API's own messages."""

from collections.abc import Iterator
from http import HTTPStatus
from time import monotonic, sleep
from typing import Any

from local_stack.errors import RefusedError
from roadmap_command.api_client import Api
from roadmap_content.api.client import ApiUnavailableError

MAX_PAGE = 200

RESEND_SECONDS = 20.0
"""For how long a request is sent again. All callers of the API share its limit, and in an outage there are
many.
"""


class TooManyRequestsError(ApiUnavailableError):
    """The API refused a request at its limit, and did not execute it."""

    code = "TooManyRequests"


def ask(api: Api, method: str, path: str, document: object = None, **query: Any) -> Any:  # noqa: ANN401 - JSON
    """Send a request below `/api/v1`; return the document of the response.

    A request that the API did not answer is sent again with growing pauses, unless it may have changed data.

    Raises:
        RefusedError: the API refused it; the message is the API's.
        ApiUnavailableError: it failed.
    """
    pauses = _pauses()
    while True:
        try:
            return _ask_once(api, method, path, document, **query)
        except ApiUnavailableError as error:
            pause = next(pauses, None)
            if pause is None or not (method == "GET" or isinstance(error, TooManyRequestsError)):
                raise
            sleep(pause)


def _ask_once(api: Api, method: str, path: str, document: object, **query: Any) -> Any:  # noqa: ANN401 - JSON
    answer = api.send(method, path, document, **query)
    if answer.status < HTTPStatus.BAD_REQUEST:
        return answer.body
    message = answer.body.get("message") if isinstance(answer.body, dict) else answer.body
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise TooManyRequestsError(f"{answer.status}: {message}")
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        code = answer.body.get("error", "") if isinstance(answer.body, dict) else ""
        raise ApiUnavailableError(f"{answer.status} {code}".strip() + f": {message}")
    raise RefusedError(f"{answer.status}: {message}")


def _pauses() -> Iterator[float]:
    """Growing pauses in seconds, which end within `RESEND_SECONDS` from now."""
    end, pause = monotonic() + RESEND_SECONDS, 0.5
    while monotonic() + pause <= end:
        yield pause
        pause *= 2


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
