"""Who is calling: the bearer token of a request is verified, and API Gateway is told what it allows."""

from .keys import KeysUnavailableError, key_source
from .policy import allow
from .settings import AuthorizationSettings
from .tokens import UnauthorizedError, bearer_token, verify


def authenticate(authorization: object, settings: AuthorizationSettings) -> str:
    """The `user_id` that an Authorization header proves.

    Raises:
        UnauthorizedError: it proves none.
        KeysUnavailableError: it cannot be judged, for want of a key.
    """
    return verify(bearer_token(authorization), key_source(settings), settings)


__all__ = ["AuthorizationSettings", "KeysUnavailableError", "UnauthorizedError", "allow", "authenticate"]
