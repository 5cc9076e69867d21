"""Who is calling: the bearer token of a request is verified, and API Gateway is told what it allows."""

from .keys import key_source
from .settings import AuthorizationSettings
from .tokens import bearer_token, verify


def authenticate(authorization: object, settings: AuthorizationSettings) -> str:
    """The `user_id` that an Authorization header proves.

    Raises:
        UnauthorizedError: it proves none.
        KeysUnavailableError: it cannot be judged, for want of a key.
    """
    return verify(bearer_token(authorization), key_source(settings), settings)
