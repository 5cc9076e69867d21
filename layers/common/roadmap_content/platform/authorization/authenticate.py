"""Authenticate a request by its bearer token: its user, roles and tenant, and the authorizer's answer.

The token's own claims never determine the key source or the algorithm.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jwt
from jwt import PyJWK

from ...contracts.documents import unstorable
from ...contracts.errors import InvalidPayloadError, PermanentError
from .keys import KeySource, KeysUnavailableError, key_source
from .settings import AuthorizationSettings

MAX_TOKEN_LENGTH = 10_240
"""API Gateway's limit for all headers, in bytes."""

CLOCK_SKEW_SECONDS = 5
"""Accepted difference from the issuer's clock."""

LATEST_EXPIRY = 253_402_300_799
"""The last second of the year 9999. A later one is an error of the issuer, such as a time in milliseconds."""

_OF_CALLERS = ("Decode", "ExpiredSignature", "NoBearerToken", "TokenTooLong")
"""The reasons of tokens that no settings of ours would accept."""

_BEARER = re.compile(r"bearer +([\w-]+\.[\w-]+\.[\w-]+)", re.ASCII | re.IGNORECASE)
_METHOD_ARN = re.compile(r"(arn:[\w-]+:execute-api:[\w-]+:\d+:\w+/[\w-]+)/.*", re.ASCII | re.DOTALL)


class UnauthorizedError(PermanentError, code="Unauthorized"):
    """The request has no valid token. API Gateway answers 401 if the message is exactly `Unauthorized`, and
    500 otherwise. `reason` is a code for the log and never contains text of the token.
    """

    def __init__(self, reason: str) -> None:
        super().__init__("Unauthorized")
        self.reason = reason
        # For another reason, our audience, issuer or keys may be wrong, and lock callers out.
        self.is_the_callers = reason in _OF_CALLERS


class Identity(NamedTuple):
    """The sender of a request, and the roles and the tenant of the token."""

    user_id: str
    roles: list[str]
    tenant: str | None = None

    @property
    def context(self) -> dict[str, str]:
        """The context for the functions behind API Gateway: strings only."""
        context = {"user_id": self.user_id, "roles": ",".join(self.roles)}
        return context if self.tenant is None else context | {"tenant": self.tenant}


def authenticate(authorization: object, settings: AuthorizationSettings) -> Identity:
    """Verify an Authorization header and return the identity that its token proves.

    Raises:
        UnauthorizedError: the header has no valid token, or PostgreSQL cannot store its tenant.
        KeysUnavailableError: the token cannot be verified, because the keys are unavailable.
    """
    claims = verify(bearer_token(authorization), key_source(settings), settings)
    return Identity(claims["sub"], roles_of(claims, settings), _tenant_of(claims, settings))


def bearer_token(authorization: object) -> str:
    """The token in an Authorization header, of valid syntax. Raises UnauthorizedError: there is none."""
    header = authorization if isinstance(authorization, str) else ""
    if len(header) > MAX_TOKEN_LENGTH:
        raise UnauthorizedError("TokenTooLong")
    if not (match := _BEARER.fullmatch(header)):
        raise UnauthorizedError("NoBearerToken")
    return match[1]


def verify(token: str, keys: KeySource, settings: AuthorizationSettings) -> Mapping[str, Any]:
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
    """The claims of a token that one of the keys has signed. Raises jwt.InvalidTokenError as PyJWT does, and
    UnauthorizedError: there is no key.
    """
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


def roles_of(claims: Mapping[str, Any], settings: AuthorizationSettings) -> list[str]:
    """The roles of a token's user: always `owner` (of their own tasks), others by `scope` or `scp`.

    `scope` is a string of names separated by spaces (RFC 8693); `scp` is a list of names or such a string. A
    claim of another type grants no role. The users of `operator_subjects` are operators without a scope.
    """
    granted: set[str] = set()
    for name in ("scope", "scp"):
        match claims.get(name):
            case str(text):
                granted.update(text.split())
            case list(names):
                granted.update(one for one in names if isinstance(one, str))
    roles = ["owner"]
    for role, scope in (("viewer", settings.viewer_scope), ("operator", settings.operator_scope)):
        if scope and scope in granted:
            roles.append(role)
    if claims.get("sub") in settings.operator_subjects and "operator" not in roles:
        roles.append("operator")
    return roles


def _tenant_of(claims: Mapping[str, Any], settings: AuthorizationSettings) -> str | None:
    """The tenant of a token; `None` if the claim is not configured, absent, empty or not a string."""
    tenant = claims.get(settings.tenant_claim) if settings.tenant_claim else None
    if not isinstance(tenant, str) or not tenant.strip():
        return None
    if unstorable(tenant):
        raise UnauthorizedError("UnusableTenant")
    return tenant


def allow(identity: Identity, method_arn: object) -> dict[str, Any]:
    """The answer to API Gateway: a policy that allows the user to call the API stage of `method_arn`. The
    policy covers all methods because API Gateway caches it per token: a policy for one method would refuse
    the next call with the token to another method. The backend reads `user_id` and the roles from the
    context.
    Raises InvalidPayloadError: `method_arn` is not the ARN of an API method.
    """
    if not isinstance(method_arn, str) or not (match := _METHOD_ARN.fullmatch(method_arn)):
        raise InvalidPayloadError("methodArn is not the ARN of an API's method")
    return {
        "principalId": identity.user_id,
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [{"Action": "execute-api:Invoke", "Effect": "Allow", "Resource": f"{match[1]}/*"}],
        },
        "context": identity.context,
    }
