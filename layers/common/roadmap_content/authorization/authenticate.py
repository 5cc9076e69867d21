"""Authenticate a request by its bearer token."""

from .keys import key_source
from .settings import AuthorizationSettings
from .tokens import bearer_token, verify


def authenticate(authorization: object, settings: AuthorizationSettings) -> str:
    """Verify an Authorization header and return its `user_id`.

    Raises:
        UnauthorizedError: the header has no valid token.
        KeysUnavailableError: the token cannot be verified, because the keys are unavailable.
    """
    return verify(bearer_token(authorization), key_source(settings), settings)
