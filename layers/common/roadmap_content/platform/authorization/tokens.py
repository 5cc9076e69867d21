"""Verify a bearer token. The token's own claims never determine the key source or the algorithm."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import jwt
from jwt import PyJWK

from ...contracts.documents import unstorable
from ...contracts.errors import PermanentError
from .keys import KeySource, KeysUnavailableError
from .settings import AuthorizationSettings

MAX_TOKEN_LENGTH = 10_240
"""API Gateway's limit for all headers, in bytes."""

CLOCK_SKEW_SECONDS = 5
"""Accepted difference from the issuer's clock."""

LATEST_EXPIRY = 253_402_300_799
"""The last second of the year 9999. A later one is an error of the issuer, such as a time in milliseconds."""

_BEARER = re.compile(r"bearer +([\w-]+\.[\w-]+\.[\w-]+)", re.ASCII | re.IGNORECASE)


class UnauthorizedError(PermanentError, code="Unauthorized"):
    """The request has no valid token.

    API Gateway answers 401 if the message is exactly `Unauthorized`, and 500 otherwise. `reason` is a code
    for the log and never contains text of the token.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("Unauthorized")
        self.reason = reason


def bearer_token(authorization: object) -> str:
    """Extract the token from an Authorization header. Checks its syntax only.

    Raises:
        UnauthorizedError: there is no token.
    """
    if not isinstance(authorization, str):
        raise UnauthorizedError("NoBearerToken")
    if len(authorization) > MAX_TOKEN_LENGTH:
        raise UnauthorizedError("TokenTooLong")
    if not (match := _BEARER.fullmatch(authorization)):
        raise UnauthorizedError("NoBearerToken")
    return match[1]


def verify(token: str, keys: KeySource, settings: AuthorizationSettings) -> str:
    """Verify a token and return its subject; see `verified_claims`."""
    subject: str = verified_claims(token, keys, settings)["sub"]
    return subject


def verified_claims(token: str, keys: KeySource, settings: AuthorizationSettings) -> Mapping[str, Any]:
    """Verify a token and return its claims: signature, issuer if one is set, audience, expiry, subject.

    Raises:
        UnauthorizedError: the token is not valid.
        KeysUnavailableError: the token cannot be verified.
    """
    try:
        header = jwt.get_unverified_header(token)
        # Checked first, so that a token that is refused anyway does not cause a fetch of keys.
        if header.get("alg") not in keys.algorithms:
            raise UnauthorizedError("AlgorithmNotAllowed")
        claims = _decoded(token, keys.keys_for(header), keys.algorithms, settings)
    except jwt.InvalidTokenError as error:
        # Only the type's name, because PyJWT's message may contain the token.
        raise UnauthorizedError(type(error).__name__.removesuffix("Error")) from None
    except jwt.InvalidKeyError as error:
        raise KeysUnavailableError(f"JWT_JWKS_URL or JWT_SECRET_ARN: {error}") from error
    subject: str = claims["sub"]
    if not subject.strip() or unstorable(subject):
        raise UnauthorizedError("UnusableSubject")
    if int(claims["exp"]) > LATEST_EXPIRY:
        raise UnauthorizedError("UnusableExpiry")
    return claims


def _decoded(
    token: str, keys: Iterable[PyJWK | str], algorithms: tuple[str, ...], settings: AuthorizationSettings
) -> dict[str, Any]:
    """The claims of a token that one of the keys has signed."""
    required = ["exp", "aud", "sub"] if settings.issuer is None else ["exp", "aud", "iss", "sub"]
    wrong_key: jwt.InvalidSignatureError | None = None
    for key in keys:
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=algorithms,
                issuer=settings.issuer,
                audience=settings.audiences,
                leeway=CLOCK_SKEW_SECONDS,
                options={"require": required, "enforce_minimum_key_length": True},
            )
        except jwt.InvalidSignatureError as error:
            wrong_key = error
        else:
            return claims
    raise wrong_key or UnauthorizedError("UnknownKey")
