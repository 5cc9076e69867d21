"""What a bearer token proves. The key is given; nothing is fetched or decided by what the token says."""

import re

import jwt

from ..documents import unstorable
from ..errors import PermanentError
from .keys import KeySource, KeysUnavailableError
from .settings import AuthorizationSettings

MAX_TOKEN_LENGTH = 10_240
"""API Gateway takes no more than this many bytes of headers."""

CLOCK_SKEW_SECONDS = 5
"""How far the issuer's clock may be off."""

_BEARER = re.compile(r"bearer +([\w-]+\.[\w-]+\.[\w-]+)", re.ASCII | re.IGNORECASE)


class UnauthorizedError(PermanentError):
    """The request proves no user. API Gateway answers 401 to exactly this message, 500 to any other.

    `reason` is a code for the log: it never holds text of the token.
    """

    code = "Unauthorized"

    def __init__(self, reason: str) -> None:
        super().__init__("Unauthorized")
        self.reason = reason


def bearer_token(authorization: object) -> str:
    """The token of an Authorization header, found to have a token's shape.

    Raises:
        UnauthorizedError: there is none.
    """
    if not isinstance(authorization, str):
        raise UnauthorizedError("NoBearerToken")
    if len(authorization) > MAX_TOKEN_LENGTH:
        raise UnauthorizedError("TokenTooLong")
    if not (match := _BEARER.fullmatch(authorization)):
        raise UnauthorizedError("NoBearerToken")
    return match[1]


def verify(token: str, keys: KeySource, settings: AuthorizationSettings) -> str:
    """The subject of a token that is signed by the issuer, meant for the audience, and valid now.

    Raises:
        UnauthorizedError: it is not.
        KeysUnavailableError: it cannot be checked.
    """
    try:
        header = jwt.get_unverified_header(token)
        # Before the key is looked for: what is refused anyway must not make anybody fetch keys.
        if header.get("alg") not in keys.algorithms:
            raise UnauthorizedError("AlgorithmNotAllowed")
        if (key := keys.key_for(header)) is None:
            raise UnauthorizedError("UnknownKey")
        claims = jwt.decode(
            token,
            key,
            algorithms=keys.algorithms,
            issuer=settings.issuer,
            audience=settings.audience,
            leeway=CLOCK_SKEW_SECONDS,
            options={"require": ["exp", "aud", "iss", "sub"], "enforce_minimum_key_length": True},
        )
    except jwt.InvalidTokenError as error:
        # The name alone: PyJWT's message may quote the token.
        raise UnauthorizedError(type(error).__name__.removesuffix("Error")) from None
    except jwt.InvalidKeyError as error:
        raise KeysUnavailableError(f"JWT_JWKS_URL or JWT_SECRET_ARN: {error}") from error
    subject: str = claims["sub"]
    if not subject.strip() or unstorable(subject):
        raise UnauthorizedError("UnusableSubject")
    return subject
