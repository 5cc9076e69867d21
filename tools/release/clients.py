"""Clients of AWS for the commands of a release, which tests replace."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boto3 import Session

Clients = Callable[[str, str], Any]
"""Returns a client for the name of a service and a region; an empty region is that of the deployment."""


def clients_of(session: "Session") -> Clients:
    """Clients of a session, each created once."""
    created: dict[tuple[str, str], Any] = {}

    def client(service: str, region: str) -> Any:  # noqa: ANN401 - of any service
        key = (service, region)
        if key not in created:
            created[key] = session.client(service, region_name=region or None)  # type: ignore[call-overload]
        return created[key]

    return client
