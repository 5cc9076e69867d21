"""Requests to a stack's API over HTTP, with the status of each answer."""

import json
from collections.abc import Mapping, Sequence
from typing import Self
from urllib.parse import quote, urlencode

from roadmap_command.target import Target
from roadmap_content.client.http import HttpAnswer as Answer
from roadmap_content.client.http import send


class Api:
    """The API for one user."""

    def __init__(self, url: str, user_id: str, token: str) -> None:
        self.url = url
        self.user_id = user_id
        self.token = token

    @classmethod
    def of(cls, target: Target, user_id: str) -> Self:
        """The API of a stack, for a user."""
        return cls(target.api_url, user_id, target.token(user_id))

    def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str | Sequence[str]],
        *,
        token: str | None = None,
        body: bytes | None = None,
    ) -> Answer:
        """Send a request with this user's token or another one."""
        url = f"{self.url}{path}" + (f"?{urlencode(query, doseq=True)}" if query else "")
        return send(method, url, self.token if token is None else token, body)

    def send(self, method: str, path: str, document: object = None, **query: str | Sequence[str]) -> Answer:
        """Send a request below `/api/v1`, with a JSON document or without."""
        body = None if document is None else json.dumps(document).encode()
        return self.request(method, f"/api/v1{path}", query, body=body)

    def retry(self, task_id: str, **query: str) -> Answer:
        """Retry a task's missing items."""
        path = f"/api/v1/tasks/{quote(task_id, safe='')}/retry"
        return self.request("POST", path, {"user_id": self.user_id, **query})

    def get(self, task_id: str, **query: str) -> Answer:
        """Get a task's status."""
        path = f"/api/v1/tasks/{quote(task_id, safe='')}"
        return self.request("GET", path, {"user_id": self.user_id, **query})


__all__ = ["Answer", "Api"]
