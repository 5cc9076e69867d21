"""A client of the API over HTTP."""

import json
import urllib.error
import urllib.request
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode


class Answer(NamedTuple):
    """An answer of the API; `body` is decoded where it is JSON."""

    status: int
    body: Any


class Api:
    """The API, for one user."""

    def __init__(self, url: str, user_id: str, token: str) -> None:
        self.url = url
        self.user_id = user_id
        self.token = token

    def request(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        *,
        token: str | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send a request, with this user's token or another."""
        request = urllib.request.Request(f"{self.url}{path}?{urlencode(query)}", method=method, data=body)  # noqa: S310
        request.add_header("Authorization", f"Bearer {self.token if token is None else token}")
        request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
                return Answer(response.status, json.load(response))
        except urllib.error.HTTPError as error:
            with error:
                text = error.read()
            return Answer(error.code, json.loads(text) if text.startswith(b"{") else text.decode())

    def retry(self, task_id: str, **query: str) -> Answer:
        """Ask for a retry of what a task misses."""
        path = f"/api/v1/tasks/{quote(task_id, safe='')}/retry"
        return self.request("POST", path, {"user_id": self.user_id, **query})

    def get(self, task_id: str, **query: str) -> Answer:
        """Ask how a task stands."""
        path = f"/api/v1/tasks/{quote(task_id, safe='')}"
        return self.request("GET", path, {"user_id": self.user_id, **query})
