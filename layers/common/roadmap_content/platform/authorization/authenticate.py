"""Authenticate a request by its bearer token."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from ...contracts.documents import unstorable
from .keys import key_source
from .roles import roles_of
from .settings import AuthorizationSettings
from .tokens import UnauthorizedError, bearer_token, verified_claims


class Identity(NamedTuple):
    """The sender of a request, and the roles and the tenant of the token."""

    user_id: str
    roles: list[str]
    expires_at: str
    tenant: str | None = None

    @property
    def context(self) -> dict[str, str]:
        """The context for the functions behind API Gateway: strings only."""
        context = {"user_id": self.user_id, "roles": ",".join(self.roles), "expires_at": self.expires_at}
        return context if self.tenant is None else context | {"tenant": self.tenant}


def authenticate(authorization: object, settings: AuthorizationSettings) -> Identity:
    """Verify an Authorization header and return the identity that its token proves.

    Raises:
        UnauthorizedError: the header has no valid token, or PostgreSQL cannot store its tenant.
        KeysUnavailableError: the token cannot be verified, because the keys are unavailable.
    """
    claims = verified_claims(bearer_token(authorization), key_source(settings), settings)
    expires_at = datetime.fromtimestamp(int(claims["exp"]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Identity(claims["sub"], roles_of(claims, settings), expires_at, _tenant_of(claims, settings))


def _tenant_of(claims: Mapping[str, Any], settings: AuthorizationSettings) -> str | None:
    """The tenant of a token; `None` if the claim is not configured, absent, empty or not a string."""
    tenant = claims.get(settings.tenant_claim) if settings.tenant_claim else None
    if not isinstance(tenant, str) or not tenant.strip():
        return None
    if unstorable(tenant):
        raise UnauthorizedError("UnusableTenant")
    return tenant
