"""CORS: which origins a browser may call the API from. No I/O.

The function answers OPTIONS itself: the mock integrations of API Gateway support only one origin, and local
clouds drop their headers.
"""

from collections.abc import Collection, Mapping
from typing import Any

_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET,POST,OPTIONS",
    "Access-Control-Allow-Headers": "Authorization,Content-Type",
    "Access-Control-Max-Age": "3600",
}


def is_preflight(event: Mapping[str, Any]) -> bool:
    """Whether a request is a CORS preflight."""
    return event.get("httpMethod") == "OPTIONS"


def preflight(event: Mapping[str, Any], origins: Collection[str]) -> dict[str, Any]:
    """The response to OPTIONS. An origin that is not configured gets no headers, so the browser blocks it."""
    headers = cors_headers(event, origins)
    return {"statusCode": 204, "headers": headers | (_PREFLIGHT if headers else {}), "body": ""}


def cors_headers(event: Mapping[str, Any], origins: Collection[str]) -> dict[str, str]:
    """The headers that allow a page of a configured origin to read a response; empty for other origins."""
    headers = event.get("headers") or {}
    origin = next((value for name, value in headers.items() if name.lower() == "origin"), None)
    if origin is None or origin not in origins:
        return {}
    return {"Access-Control-Allow-Origin": origin, "Vary": "Origin"}


def with_cors(answer: dict[str, Any], event: Mapping[str, Any], origins: Collection[str]) -> dict[str, Any]:
    """A response with these headers added."""
    multi = {name: [value] for name, value in cors_headers(event, origins).items()}
    return answer | {"multiValueHeaders": (answer.get("multiValueHeaders") or {}) | multi}
