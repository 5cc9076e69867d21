"""The settings of the authorizer: the accepted issuer and audience, and the key source.

No setting disables verification.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from ...contracts.errors import MissingSettingError
from ..runtime.settings import Settings

NO_ISSUER = "none"
"""The value of JWT_ISSUER for tokens that have no issuer. Only with a shared secret."""


@dataclass(frozen=True)
class AuthorizationSettings:
    """Accept tokens of `issuer` for `audiences`. Exactly one of `jwks_url` and `secret_arn` is set."""

    issuer: str | None
    """`None`: the tokens have no issuer. Then only the shared secret identifies the signer."""

    audiences: tuple[str, ...]
    """A token must contain at least one of them."""

    jwks_url: str | None = None
    """The URL of the issuer's public keys."""

    secret_arn: str | None = None
    """The ARN of the secret that is shared with the issuer. Its whole text is the key."""

    operator_scope: str = ""
    """The scope that permits reading and changing all tasks. If empty, no token has it."""

    viewer_scope: str = ""
    """The scope that permits reading all tasks. If empty, no token has it."""

    operator_subjects: frozenset[str] = frozenset()
    """The users (`sub`) that are operators without a scope, for tokens of a product that have none."""

    tenant_claim: str = ""
    """The claim with the user's tenant: its users share the capacity. If empty, no token has a tenant."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read JWT_ISSUER, JWT_AUDIENCE (several with commas), and JWT_SECRET_ARN or JWT_JWKS_URL. If neither
        of the two is set, the keys are read from the issuer's `/.well-known/jwks.json`.
        Raises MissingSettingError: a setting is missing or invalid, or both key sources are set; the message
        names the settings.
        """
        settings = Settings(environ)
        issuer = None if settings.jwt_issuer == NO_ISSUER else settings.jwt_issuer
        if not settings.jwt_audiences:
            raise MissingSettingError("JWT_AUDIENCE: contains no audience")
        jwks_url, secret_arn = settings.jwt_jwks_url, settings.jwt_secret_arn
        if jwks_url and secret_arn:
            raise MissingSettingError("JWT_JWKS_URL, JWT_SECRET_ARN: both are set; set only one")
        if not secret_arn and issuer is None:
            raise MissingSettingError(
                f"JWT_ISSUER: {NO_ISSUER!r} needs JWT_SECRET_ARN; public keys are those of an issuer"
            )
        if not secret_arn:
            jwks_url = jwks_url or f"{(issuer or '').rstrip('/')}/.well-known/jwks.json"
            if not _is_trustworthy(jwks_url):
                raise MissingSettingError(
                    f"JWT_JWKS_URL: {jwks_url!r} is not an https URL "
                    "(where it is not set, it follows from JWT_ISSUER; with JWT_SECRET_ARN it is not needed)"
                )
        return cls(
            issuer,
            settings.jwt_audiences,
            jwks_url=jwks_url or None,
            secret_arn=secret_arn or None,
            operator_scope=settings.operator_scope,
            viewer_scope=settings.viewer_scope,
            operator_subjects=frozenset(settings.operator_subjects),
            tenant_claim=settings.tenant_claim,
        )


def _is_trustworthy(url: str) -> bool:
    """Whether the keys are protected in transit: `https`, or `http` to this machine."""
    try:
        scheme, host = urlsplit(url).scheme, urlsplit(url).hostname
    except ValueError:
        return False
    return bool(host) and (scheme == "https" or (scheme == "http" and host == "127.0.0.1"))
