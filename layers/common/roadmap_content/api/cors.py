"""CORS: the origins from which a browser may call the API, and the headers that it may send. No I/O.

The functions answer OPTIONS themselves: the mock integrations of API Gateway support only one origin, and
local clouds drop their headers.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

METHODS = "GET,POST,PUT,DELETE,OPTIONS"

READABLE = "ETag,Retry-After"
"""The response headers that a page may read."""


class Cors(NamedTuple):
    """The configured origins, and the request headers that their pages may send."""

    origins: Collection[str]
    request_headers: Collection[str]

    def preflight(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """The response to OPTIONS. Another origin gets no headers, so the browser blocks its call."""
        permitted = self._headers(event)
        if permitted:
            permitted |= {
                "Access-Control-Allow-Methods": METHODS,
                "Access-Control-Allow-Headers": ",".join(self.request_headers),
                "Access-Control-Max-Age": "3600",
            }
        return {"statusCode": 204, "headers": permitted, "body": ""}

    def readable(self, answer: dict[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
        """A response that a page of a configured origin can read."""
        permitted = self._headers(event)
        if permitted:
            permitted["Access-Control-Expose-Headers"] = READABLE
        multiple = {name: [value] for name, value in permitted.items()}
        return answer | {"multiValueHeaders": (answer.get("multiValueHeaders") or {}) | multiple}

    def _headers(self, event: Mapping[str, Any]) -> dict[str, str]:
        headers = event.get("headers") or {}
        origin = next((value for name, value in headers.items() if name.lower() == "origin"), None)
        if origin is None or origin not in self.origins:
            return {}
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}


def is_preflight(event: Mapping[str, Any]) -> bool:
    """Whether a request is a CORS preflight."""
    return event.get("httpMethod") == "OPTIONS"
