"""Whose tokens are accepted, and what they are verified with. Nothing here can switch that off."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from ..errors import MissingSettingError


@dataclass(frozen=True)
class AuthorizationSettings:
    """Tokens of `issuer` for `audience`, verified with one of two kinds of key: exactly one is set."""

    issuer: str
    audience: str
    jwks_url: str | None = None
    """Where the issuer publishes its public keys."""

    secret_arn: str | None = None
    """The Secrets Manager secret that is shared with the issuer: its whole text is the key."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read JWT_ISSUER and JWT_AUDIENCE, and JWT_SECRET_ARN or JWT_JWKS_URL.

        With neither of the two, the keys are expected at the issuer's `/.well-known/jwks.json`.

        Raises:
            MissingSettingError: a setting is missing or not usable, or both kinds of key are set; the
                message names the settings.
        """
        if missing := [name for name in ("JWT_ISSUER", "JWT_AUDIENCE") if not environ.get(name)]:
            raise MissingSettingError(f"{', '.join(missing)}: not set")
        issuer, audience = environ["JWT_ISSUER"], environ["JWT_AUDIENCE"]
        jwks_url, secret_arn = environ.get("JWT_JWKS_URL"), environ.get("JWT_SECRET_ARN")
        if jwks_url and secret_arn:
            raise MissingSettingError("JWT_JWKS_URL, JWT_SECRET_ARN: both are set; one must go")
        if secret_arn:
            return cls(issuer, audience, secret_arn=secret_arn)
        jwks_url = jwks_url or f"{issuer.rstrip('/')}/.well-known/jwks.json"
        if not _keeps_keys_authentic(jwks_url):
            raise MissingSettingError(
                f"JWT_JWKS_URL: {jwks_url!r} is not an https URL "
                "(where it is not set, it follows from JWT_ISSUER; with JWT_SECRET_ARN it is not needed)"
            )
        return cls(issuer, audience, jwks_url=jwks_url)


def _keeps_keys_authentic(url: str) -> bool:
    """Whether nobody on the way can replace the keys: by TLS, or because there is no way."""
    try:
        scheme, host = urlsplit(url).scheme, urlsplit(url).hostname
    except ValueError:
        return False
    return bool(host) and (scheme == "https" or (scheme == "http" and host == "127.0.0.1"))
