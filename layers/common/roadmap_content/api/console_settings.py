"""The settings of the console: its sign-in, and the origins that it may reach."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from ..contracts.errors import MissingSettingError


@dataclass(frozen=True)
class ConsoleSettings:
    """Sign in as `client` at `issuer`. If `client` is empty, users paste a token or open a link with one."""

    issuer: str = ""
    audience: str = ""
    client: str = ""
    scope: str = ""
    origins: tuple[str, ...] = ()
    """Further origins to which the page may send requests."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read CONSOLE_CLIENT_ID and, if it is set, JWT_ISSUER, JWT_AUDIENCE, CONSOLE_SCOPE and
        CONSOLE_TOKEN_ORIGIN.

        Raises:
            MissingSettingError: the issuer or the token endpoint's origin is not an https URL.
        """
        client = environ.get("CONSOLE_CLIENT_ID", "")
        if not client:
            return cls()
        issuer = environ.get("JWT_ISSUER", "")
        urls = {"JWT_ISSUER": issuer, "CONSOLE_TOKEN_ORIGIN": environ.get("CONSOLE_TOKEN_ORIGIN") or issuer}
        return cls(
            issuer=issuer,
            audience=environ.get("JWT_AUDIENCE", ""),
            client=client,
            scope=environ.get("CONSOLE_SCOPE", ""),
            origins=tuple(sorted({_origin_of(name, url) for name, url in urls.items()})),
        )


def _origin_of(name: str, url: str) -> str:
    """The origin of a URL. It becomes part of a header, so only a plain origin is accepted."""
    parts = urlsplit(url)
    plain = all(
        character.isascii() and (character.isalnum() or character in ".-:") for character in parts.netloc
    )
    protected = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname == "127.0.0.1")
    if not parts.netloc or not plain or not protected:
        raise MissingSettingError(f"{name}: not an https URL")
    return f"{parts.scheme}://{parts.netloc}"
