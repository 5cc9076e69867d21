"""The sources of keys for the verification of tokens.

Each source has a fixed list of algorithms, and a token's `alg` must be one of them. The headers `jku`, `x5u`
and `jwk` are ignored. Therefore a public key is never used as a shared secret, no token can supply its own
key, and unsigned tokens are refused.
"""

import math
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, ClassVar, Protocol

from jwt import PyJWK, PyJWKClient, PyJWKClientError, PyJWKSet, PyJWTError

from ...contracts.errors import TransientError
from ..aws.secret import PREVIOUS, SecretUnavailableError, read_secret
from .settings import AuthorizationSettings

LIFETIME_SECONDS = 300
"""Lifetime of cached keys: the maximum time for which a revoked key is still accepted."""

KEPT_SECONDS = 3_600
"""The same while the issuer is away: a token of a known key is verified for an hour after the last fetch."""

REFETCH_SECONDS = 5
"""Minimum interval between fetches before the cache expires or after a failure."""

REREAD_SECONDS = 1
"""Minimum interval between reads of the shared secret, also after a failure."""

TIMEOUT_SECONDS = 3

_MIN_LENGTH = 32
"""Bytes of a key for HS256, at least (RFC 7518)."""


class KeysUnavailableError(TransientError, code="KeysUnavailable"):
    """The keys are unavailable or invalid. The message names the setting."""


class KeySource(Protocol):
    """A source of verification keys."""

    @property
    def algorithms(self) -> tuple[str, ...]:
        """The only algorithms that are accepted."""

    def keys_for(self, header: Mapping[str, Any]) -> Iterator[PyJWK | str]:
        """The keys that may have signed a token with this header, the most probable first."""


@lru_cache(maxsize=1)
def key_source(settings: AuthorizationSettings) -> KeySource:
    """The configured key source. Cached, because it holds the fetched keys."""
    if settings.secret_arn:
        return SharedSecret(settings.secret_arn)
    if settings.jwks_url:
        return IssuerKeys(settings.jwks_url)
    raise KeysUnavailableError("JWT_JWKS_URL, JWT_SECRET_ARN: neither is set")


class IssuerKeys(PyJWKClient):
    """The public keys of an issuer. An unknown key id triggers a new fetch, because keys rotate."""

    algorithms: ClassVar = ("RS256", "ES256")

    def __init__(self, url: str) -> None:
        super().__init__(
            url, lifespan=LIFETIME_SECONDS, timeout=TIMEOUT_SECONDS, cooldown_duration=REFETCH_SECONDS
        )
        self._failed_at = self._fetched_at = -math.inf
        self._fetched: object = None

    def keys_for(self, header: Mapping[str, Any]) -> Iterator[PyJWK]:
        """The published key with the token's key id, if any."""
        if not (key_id := header.get("kid")):
            return
        try:
            key = self.get_signing_key(key_id)
        except PyJWKClientError:
            return
        except KeysUnavailableError:
            kept = self._kept(key_id)
            if kept is None:
                raise
            key = kept
        yield key

    def _kept(self, key_id: str) -> PyJWK | None:
        """A key of the last fetch that succeeded, if that was not long ago."""
        if time.monotonic() - self._fetched_at >= KEPT_SECONDS or not isinstance(self._fetched, dict):
            return None
        return next((key for key in PyJWKSet.from_dict(self._fetched).keys if key.key_id == key_id), None)

    def fetch_data(self) -> object:
        """Fetch the key set, but not within `REFETCH_SECONDS` after a failure.

        PyJWT's own cooldown starts only after a success. Without this one, every request would wait for the
        full timeout while the issuer is down.
        """
        if time.monotonic() - self._failed_at < REFETCH_SECONDS:
            raise KeysUnavailableError(f"JWT_JWKS_URL: {self.uri} failed a moment ago")
        try:
            self._fetched, self._fetched_at = super().fetch_data(), time.monotonic()
        # KeyError and TypeError: PyJWT raises them for an incomplete key.
        except (PyJWTError, OSError, ValueError, RecursionError, KeyError, TypeError) as error:
            self._failed_at = time.monotonic()
            raise KeysUnavailableError(
                f"JWT_JWKS_URL: {self.uri} returned no keys: {type(error).__name__}: {error}"
            ) from error
        return self._fetched


class SharedSecret:
    """A secret in Secrets Manager that is shared with the issuer of tokens.

    While it is rotated, the issuer may sign with either version: the current and the previous one are valid.
    A token that neither has signed causes a new read, but not within `REREAD_SECONDS` after the last one. It
    is then refused without a wait, because otherwise each invalid token would hold the authorizer.
    """

    algorithms: ClassVar = ("HS256",)

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._secrets: tuple[str, ...] = ()
        self._read_at = self._failed_at = -math.inf

    def keys_for(self, _header: Mapping[str, Any]) -> Iterator[str]:
        """The cached versions of the secret; then, if the caller goes on because none of them has signed the
        token, those after a rotation.
        """
        came_at = time.monotonic()
        if came_at - self._read_at >= LIFETIME_SECONDS:
            self._read()
        known = self._secrets
        yield from known
        if came_at - self._read_at >= REREAD_SECONDS:
            self._read()
            yield from (secret for secret in self._secrets if secret not in known)

    def _read(self) -> None:
        """Read the secret, but not within `REREAD_SECONDS` after a failure."""
        began_at = time.monotonic()
        if began_at - self._failed_at < REREAD_SECONDS:
            raise KeysUnavailableError(f"JWT_SECRET_ARN: {self._arn} could not be read a moment ago")
        try:
            current, previous = read_secret(self._arn), read_secret(self._arn, PREVIOUS)
        except SecretUnavailableError as error:
            self._failed_at = time.monotonic()
            raise KeysUnavailableError(f"JWT_SECRET_ARN: {error}") from error
        if not current:
            self._failed_at = time.monotonic()
            raise KeysUnavailableError("JWT_SECRET_ARN: the secret contains no text")
        # PyJWT raises an error for a key that is too short, whatever the token is. A previous version that is
        # too short was never accepted, so it is not tried.
        self._secrets = (current, previous) if len(previous.encode()) >= _MIN_LENGTH else (current,)
        self._read_at = began_at
