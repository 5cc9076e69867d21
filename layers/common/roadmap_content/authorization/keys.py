"""The keys that tokens are verified with, and where they come from.

Each source fixes the algorithms that its keys are for. A token's own `alg` only has to be one of them, and
its `jku`, `x5u` and `jwk` are never looked at: so a public key cannot be taken for a shared secret, and no
token can bring its own key or go without a signature.
"""

import math
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, Protocol

from jwt import PyJWK, PyJWKClient, PyJWKClientError, PyJWTError

from ..aws.secret import SecretUnavailableError, read_secret
from ..errors import TransientError
from .settings import AuthorizationSettings

LIFETIME_SECONDS = 300
"""How long fetched keys are used: a key that is withdrawn is accepted no longer than this."""

REFETCH_SECONDS = 5
"""How often, at most, keys are fetched before their time, or again after a failure."""

TIMEOUT_SECONDS = 3


class KeysUnavailableError(TransientError):
    """The keys to verify tokens with cannot be had, or are not usable. The message names the setting."""

    code = "KeysUnavailable"


class KeySource(Protocol):
    """Gives the key for one token, by its header."""

    @property
    def algorithms(self) -> tuple[str, ...]:
        """What the keys are for: nothing else is accepted."""

    def key_for(self, header: Mapping[str, Any]) -> PyJWK | str | None:
        """The key, or `None` for a token that no key is known for."""


@lru_cache(maxsize=1)
def key_source(settings: AuthorizationSettings) -> KeySource:
    """The one source that is configured; the same for the same settings, because it holds fetched keys."""
    if settings.secret_arn:
        return SharedSecret(settings.secret_arn)
    if settings.jwks_url:
        return IssuerKeys(settings.jwks_url)
    raise KeysUnavailableError("JWT_JWKS_URL, JWT_SECRET_ARN: neither is set")


class IssuerKeys(PyJWKClient):
    """The public keys of an issuer. A key id that is not known yet has them fetched anew: keys rotate."""

    algorithms: ClassVar = ("RS256", "ES256")

    def __init__(self, url: str) -> None:
        super().__init__(
            url,
            lifespan=LIFETIME_SECONDS,
            timeout=TIMEOUT_SECONDS,
            cooldown_duration=REFETCH_SECONDS,
        )
        self._failed_at = -math.inf

    def key_for(self, header: Mapping[str, Any]) -> PyJWK | None:
        """The published key with the token's key id."""
        if not (key_id := header.get("kid")):
            return None
        try:
            return self.get_signing_key(key_id)
        except PyJWKClientError:
            return None

    def fetch_data(self) -> object:
        """Fetch the key set; after a failure, only when some time has passed.

        PyJWT's own cooldown starts at a success. Without this one, every request to an issuer that is down
        would hold the function for the whole timeout.
        """
        if time.monotonic() - self._failed_at < REFETCH_SECONDS:
            raise KeysUnavailableError(f"JWT_JWKS_URL: {self.uri} failed a moment ago")
        try:
            return super().fetch_data()
        # KeyError and TypeError: PyJWT lets them through for a key without its parts.
        except (PyJWTError, OSError, ValueError, RecursionError, KeyError, TypeError) as error:
            self._failed_at = time.monotonic()
            raise KeysUnavailableError(
                f"JWT_JWKS_URL: {self.uri} gave no keys: {type(error).__name__}: {error}"
            ) from error


class SharedSecret:
    """A secret in Secrets Manager that this system and the issuer of tokens share."""

    algorithms: ClassVar = ("HS256",)

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._secret = ""
        self._stale_at = -math.inf

    def key_for(self, _header: Mapping[str, Any]) -> str:
        """The secret, whatever the token says."""
        if time.monotonic() >= self._stale_at:
            self._secret = self._read()
            self._stale_at = time.monotonic() + LIFETIME_SECONDS
        return self._secret

    def _read(self) -> str:
        try:
            secret = read_secret(self._arn)
        except SecretUnavailableError as error:
            raise KeysUnavailableError(f"JWT_SECRET_ARN: {error}") from error
        if not secret:
            raise KeysUnavailableError("JWT_SECRET_ARN: the secret holds no text")
        return secret
