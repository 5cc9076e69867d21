"""Authenticate a request by its bearer token."""

from datetime import UTC, datetime
from typing import NamedTuple

from .keys import key_source
from .roles import roles_of
from .settings import AuthorizationSettings
from .tokens import bearer_token, verified_claims


class Identity(NamedTuple):
    """The sender of a request, and the roles of the token."""

    user_id: str
    roles: list[str]
    expires_at: str

    @property
    def context(self) -> dict[str, str]:
        """The context for the functions behind API Gateway: strings only."""
        return {"user_id": self.user_id, "roles": ",".join(self.roles), "expires_at": self.expires_at}


def authenticate(authorization: object, settings: AuthorizationSettings) -> Identity:
    """Verify an Authorization header and return the identity that its token proves.

    Raises:
        UnauthorizedError: the header has no valid token.
        KeysUnavailableError: the token cannot be verified, because the keys are unavailable.
    """
    claims = verified_claims(bearer_token(authorization), key_source(settings), settings)
    expires_at = datetime.fromtimestamp(int(claims["exp"]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Identity(claims["sub"], roles_of(claims, settings), expires_at)
