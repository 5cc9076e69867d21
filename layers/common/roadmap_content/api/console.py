"""The console: its settings, and its static files, which are read once, with a content digest in every path.

The digest of all files is the first part of each path, so that clients can cache a file forever, and a new
release has new paths. Only the first page has a fixed path; it contains the digest.
"""

import hashlib
import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from ..contracts.errors import MissingSettingError
from .entity_tags import is_known

PAGE = "index.html"

_MEDIA_TYPES: Mapping[str, str] = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
}
"""Media types by suffix. Files with other suffixes are not served. All are text, so no response is Base64."""

_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class ConsoleSettings:
    """Sign in as `client` at `issuer`. If `client` is empty, users paste a token or open a link with one."""

    issuer: str = ""
    audience: str = ""
    client: str = ""
    scope: str = ""
    origins: tuple[str, ...] = ()
    """Further origins to which the page may send requests."""

    pictures: str = ""
    """The origins of pictures that lessons show, separated by spaces; other pictures are links."""

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read CONSOLE_PICTURE_ORIGINS, CONSOLE_CLIENT_ID and, if that is set, JWT_ISSUER, JWT_AUDIENCE,
        CONSOLE_SCOPE and CONSOLE_TOKEN_ORIGIN. Raises MissingSettingError: one of the URLs is not https.
        """
        name = "CONSOLE_PICTURE_ORIGINS"
        pictures = " ".join(_origin_of(name, url) for url in environ.get(name, "").split())
        client = environ.get("CONSOLE_CLIENT_ID", "")
        if not client:
            return cls(pictures=pictures)
        issuer = environ.get("JWT_ISSUER", "")
        urls = {"JWT_ISSUER": issuer, "CONSOLE_TOKEN_ORIGIN": environ.get("CONSOLE_TOKEN_ORIGIN") or issuer}
        return cls(
            issuer=issuer,
            audience=environ.get("JWT_AUDIENCE", ""),
            client=client,
            scope=environ.get("CONSOLE_SCOPE", ""),
            origins=tuple(sorted({_origin_of(name, url) for name, url in urls.items()})),
            pictures=pictures,
        )


def _origin_of(name: str, url: str) -> str:
    """The origin of a URL. It becomes part of a header, so only a plain origin is accepted."""
    parts = urlsplit(url)
    protected = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname == "127.0.0.1")
    if not protected or not re.fullmatch("[A-Za-z0-9.:-]+", parts.netloc):
        raise MissingSettingError(f"{name}: not an https URL")
    return f"{parts.scheme}://{parts.netloc}"


@dataclass(frozen=True)
class StaticFiles:
    """The files of a folder, in memory."""

    files: Mapping[str, str]
    """Contents by path relative to the folder, without the page."""

    page: str
    digest: str
    headers: Mapping[str, str]
    """The headers of every response."""

    @classmethod
    def load(cls, folder: Path, values: Mapping[str, str], headers: Mapping[str, str]) -> "StaticFiles":
        """Read a folder; in its page, `{{name}}` becomes `values[name]`, escaped."""
        files = {
            path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
            for path in sorted(folder.rglob("*"))
            if path.is_file() and path.suffix in _MEDIA_TYPES
        }
        page = files.pop(PAGE)
        digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:16]
        known = {**values, "digest": digest}
        page = _PLACEHOLDER.sub(lambda match: html.escape(known[match[1]]), page)
        return cls(files, page, digest, headers)

    def answer(self, path: str, *, if_none_match: str | None = None) -> dict[str, Any]:
        """Serve a path below the folder, in the format of API Gateway's proxy integration.

        A file under the current digest can be cached forever. For the digest of another release the current
        file is served without caching, because a page of the old release may still be open.
        """
        if path in ("", PAGE):
            return self._content(PAGE, self.page, "no-cache", if_none_match)
        digest, _, name = path.partition("/")
        content = self.files.get(name)
        if content is None or not re.fullmatch("[0-9a-f]{16}", digest):
            return self._respond(404, "There is no such file.\n", {"Content-Type": _MEDIA_TYPES[".txt"]})
        caching = "public, max-age=31536000, immutable" if digest == self.digest else "no-store"
        return self._content(name, content, caching, if_none_match)

    def redirect(self, location: str) -> dict[str, Any]:
        """Redirect to another address, relative to the requested one."""
        return self._respond(308, "", {"Location": location, "Cache-Control": "no-cache"})

    def _content(self, name: str, content: str, caching: str, if_none_match: str | None) -> dict[str, Any]:
        tag = f'"{hashlib.sha256(content.encode()).hexdigest()[:16]}"'
        own = {"Cache-Control": caching, "ETag": tag}
        if is_known(tag, if_none_match):
            return self._respond(304, "", own)
        media_type = _MEDIA_TYPES[Path(name).suffix]
        return self._respond(200, content, {**own, "Content-Type": media_type})

    def _respond(self, status: int, body: str, headers: Mapping[str, str]) -> dict[str, Any]:
        return {"statusCode": status, "headers": {**self.headers, **headers}, "body": body}
