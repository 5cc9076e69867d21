"""The event that keeps an alias awake: each handler answers it at once, without its own work.

Lambda deactivates a function in a VPC that is not invoked for weeks, and one with SnapStart after 14 days,
and refuses the next invocations. So a schedule of the template invokes every such alias each day.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar
from urllib.parse import urlsplit

from .clients import create_client

CONNECT_SECONDS = 3.0

HandlerT = TypeVar("HandlerT", bound=Callable[[dict[str, Any], Any], dict[str, Any]])


def keeps_awake(handler: HandlerT) -> HandlerT:
    """Answer the event in place of `handler`. `services` of the event, by the names of boto3, are connected
    to: the answer has how each is reached from the function's network (`make first-day`).
    """

    @wraps(handler)
    def answer(event: dict[str, Any], context: Any) -> dict[str, Any]:  # noqa: ANN401
        if "keep_awake" not in event:
            return handler(event, context)
        return {service: _reach(service) for service in event.get("services", ())}

    return answer  # type: ignore[return-value]


def _reach(service: str) -> str:
    """Connect to a service, and verify its certificate. Returns `reached`, or the error."""
    import socket
    import ssl

    url = urlsplit(create_client(service).meta.endpoint_url)
    secured = url.scheme == "https"
    try:
        address = (url.hostname, url.port or (443 if secured else 80))
        with socket.create_connection(address, CONNECT_SECONDS) as connection:
            if secured:
                ssl.create_default_context().wrap_socket(connection, server_hostname=url.hostname).close()
    except OSError as error:
        return f"{type(error).__name__}: {error}"
    return "reached"
