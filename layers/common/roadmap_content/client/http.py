"""HTTP for the client: requests with a user's token, sent again while the API does not respond."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from http.client import HTTPException
from itertools import chain
from time import monotonic, sleep
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from pydantic import ValidationError

from ..contracts.errors import DatabaseUnavailableError, InvalidRequestError, PermanentError, TransientError
from ..contracts.payloads import Page, PayloadT, RowT, first_fault

REPEATABLE: Mapping[str, str] = MappingProxyType(
    {
        "PUT /capacity": "a value that is set already changes nothing",
        "PUT /failures/[^/]+": "it sets a state",
        "POST /tasks/[^/]+/cancel": "a cancelled task stays as it is",
        "POST /recoveries/[^/]+/(pause|cancel)": "a state that is reached already is kept",
        "POST /recoveries/[^/]+/undo": "it continues where it ended",
        "POST /erasures/due": "it only reads",
        "DELETE /users/[^/]+/content": "it continues where it ended",
    }
)
"""Requests with an effect that may be sent twice, and why. All others might pay twice, or start twice: a lost
answer does not tell whether the request was executed.
"""

Waiting = Callable[[str], AbstractContextManager[object]]
"""Entered while an answer is waited for, with the request's method and path."""

QueryValue = str | int | datetime | Sequence[str] | None


class ApiRefusedError(PermanentError, code="ApiRefused"):
    """The API or Step Functions refused a request. `status`: the HTTP status; `error`: the answer's code."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(f"{status} {error}: {message}")
        self.status = status
        self.error = error


class ApiUnavailableError(TransientError, code="ApiUnavailable"):
    """The API did not respond, or answered with a server error or 429, or the answer is not the API's. The
    same request may succeed later.
    """


class DatabaseHangsError(ApiUnavailableError, code=DatabaseUnavailableError.code):
    """The API answered that the database gave it no answer."""


class TooManyRequestsError(ApiUnavailableError, code="TooManyRequests"):
    """The API refused a request at its limit, and did not execute it."""


class HttpAnswer(NamedTuple):
    """An HTTP response. `body` is decoded if it is JSON; the names of `headers` are in lower case."""

    status: int
    body: Any
    headers: Mapping[str, str] = MappingProxyType({})

    def parsed(self, model: type[PayloadT]) -> PayloadT:
        """The body as the API's answer. Raises ApiUnavailableError: a proxy or another service sent it."""
        try:
            return model.model_validate(self.body)
        except ValidationError as error:
            raise ApiUnavailableError(f"the answer is not the API's: {first_fault(error)}") from error


def rows(pages: Iterator[Page[RowT]]) -> Iterator[RowT]:
    """The rows of a list's pages."""
    return chain.from_iterable(page.items for page in pages)


def path_of(*parts: str) -> str:
    """The path below `/api/v1` with these parts, which may be any text."""
    return "".join(f"/{quote(part, safe='')}" for part in parts)


class HttpApi:
    """The API of one deployment."""

    def __init__(
        self,
        url: str,
        token: Callable[[str], str],
        user_id: str | None,
        resend_seconds: float,
        waiting: Waiting = nullcontext,
    ) -> None:
        """`user_id` is the user of requests that name none. Each request is sent within `waiting`."""
        if not callable(token):
            raise TypeError(f"token is a function that returns a user's token, not {type(token).__name__}")
        self._url = url
        self._token = token
        self.user_id = user_id
        self._resend_seconds = resend_seconds
        self._waiting = waiting
        self._has_answered = False

    def request(
        self,
        method: str,
        path: str,
        caller: str | None = None,
        query: Mapping[str, QueryValue] = MappingProxyType({}),
        body: object = None,
        resend_seconds: float = 0,
    ) -> HttpAnswer:
        """Send a request below `/api/v1` with the token of `caller`; without it, of the client's own user.

        A request without an answer is sent again with growing pauses, for these seconds or the client's if
        they are more, if sending it twice does no harm. But if the database does not answer the client's
        first request, for which the API has waited, this is raised at once, unless `resend_seconds` is given.

        Raises:
            ApiRefusedError: the API refused it; the message is the API's.
            ApiUnavailableError: it failed.
            InvalidRequestError: neither the request nor the client has a user.
        """
        user_id = self.user_id if caller is None else caller
        if user_id is None:
            raise InvalidRequestError("a request needs a user: name it, or give the client a user_id")
        encoded = urlencode(_given(query), doseq=True)
        url = f"{self._url}/api/v1{path}" + (f"?{encoded}" if encoded else "")
        document = None if body is None else json.dumps(body).encode()
        pauses = _pauses(max(resend_seconds, self._resend_seconds))
        with self._waiting(f"{method} {path}"):
            while True:
                try:
                    answer = _accepted(send(method, url, self._token(user_id), document))
                except ApiUnavailableError as error:
                    pause = next(pauses, None)
                    not_executed = isinstance(error, TooManyRequestsError)
                    hangs = isinstance(error, DatabaseHangsError)
                    is_final = hangs and not (self._has_answered or resend_seconds)
                    if pause is None or is_final or not (not_executed or _is_repeatable(method, path)):
                        raise
                    sleep(pause)
                else:
                    self._has_answered = True
                    return answer

    def call(
        self,
        method: str,
        path: str,
        model: type[PayloadT],
        caller: str | None = None,
        body: Mapping[str, Any] | None = None,
        /,
        **query: QueryValue,
    ) -> PayloadT:
        """Send a request; return its answer. Fields of `body` that are `None` are not given."""
        given = {name: value for name, value in (body or {}).items() if value is not None} or None
        return self.request(method, path, caller, query, given).parsed(model)

    def pages(
        self, path: str, page: type[PayloadT], caller: str | None = None, /, **query: QueryValue
    ) -> Iterator[PayloadT]:
        """The pages of a list, each when it is needed."""
        cursor: dict[str, str] = {}
        while True:
            answer = self.request("GET", path, caller, query | cursor)
            yield answer.parsed(page)
            if answer.body["next_cursor"] is None:
                return
            cursor = {"cursor": answer.body["next_cursor"]}


def _is_repeatable(method: str, path: str) -> bool:
    request = f"{method} {path}"
    return method == "GET" or any(re.fullmatch(pattern, request) for pattern in REPEATABLE)


def _given(query: Mapping[str, QueryValue]) -> dict[str, str | int | Sequence[str]]:
    """The parameters that are given. Each flag is false by default."""
    given: dict[str, str | int | Sequence[str]] = {}
    for name, value in query.items():
        match value:
            case None | False | ():
                continue
            case True:
                given[name] = "true"
            case datetime():
                given[name] = value.isoformat()
            case _:
                given[name] = value
    return given


def _accepted(answer: HttpAnswer) -> HttpAnswer:
    """The answer, if it is not an error. Raises ApiRefusedError, ApiUnavailableError by its status."""
    if answer.status < 300:
        return answer
    refusal = answer.body if isinstance(answer.body, dict) else {}
    error, without = str(refusal.get("error", "HttpError")), f"status {answer.status} without a message"
    message = str((refusal.get("message") if refusal else answer.body) or without)
    if answer.status == 429:
        raise TooManyRequestsError(f"429 {error}: {message}")
    if answer.status >= 500:
        kind = DatabaseHangsError if error == DatabaseHangsError.code else ApiUnavailableError
        raise kind(f"{answer.status} {error}: {message}")
    raise ApiRefusedError(answer.status, error, message)


def _pauses(seconds: float) -> Iterator[float]:
    """Growing pauses in seconds, as long as the next one ends within `seconds` from now."""
    end, pause = monotonic() + seconds, 0.5
    while monotonic() + pause <= end:
        yield pause
        pause = min(2 * pause, 8)


def send(method: str, url: str, token: str, body: bytes | None = None) -> HttpAnswer:
    """Send a request with a bearer token. Raises ApiUnavailableError: there was no response."""
    request = urllib.request.Request(url, method=method, data=body)  # noqa: S310 - the deployment's own URL
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    try:
        try:
            # API Gateway answers within 29 s, also with an error.
            response = urllib.request.urlopen(request, timeout=60)  # noqa: S310
        except urllib.error.HTTPError as error:
            response = error
        with response:
            text = response.read()
    except (OSError, HTTPException) as error:
        raise ApiUnavailableError(f"{method} {url}: {error!r}") from error
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        answer = text.decode(errors="replace")
    headers = {name.lower(): value for name, value in response.headers.items()}  # proxies change the case
    return HttpAnswer(response.status, answer, headers)
