"""`GET /api/v1/me`: the token's user and permissions."""

from ..contracts.api.system import Identity
from .callers import Caller


def identity_of(caller: Caller) -> Identity:
    """Describe a caller."""
    return Identity(user_id=caller.user_id, roles=sorted(caller.roles), expires_at=caller.expires_at)
