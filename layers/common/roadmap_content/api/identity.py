"""`GET /api/v1/me`: the token's user and permissions."""

from ..contracts.payloads import Payload
from .callers import Caller, Role


class Identity(Payload):
    """The caller."""

    user_id: str
    roles: list[Role]
    expires_at: str | None


def identity_of(caller: Caller) -> Identity:
    """Describe a caller."""
    return Identity(user_id=caller.user_id, roles=sorted(caller.roles), expires_at=caller.expires_at)
