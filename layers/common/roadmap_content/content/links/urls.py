"""The parts of a URL that a request needs. No I/O."""

import re
from ipaddress import ip_address
from typing import NamedTuple
from urllib.parse import quote, unquote, urljoin, urlsplit

PORTS = {"http": 80, "https": 443}
"""The schemes that are requested, with their ports."""

_WELL_KNOWN = 1024
"""Ports below belong to other protocols, except those of http and https. Browsers refuse them, too."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SAFE = "%/:=&?~#+!$,;'@()*[]"
"""Characters that are not quoted: what the URL's author has quoted remains."""

# Names that stand for the reader's own machine or for no host (RFC 2606, RFC 6761).
_EXAMPLE = re.compile(
    r"(^|\.)(localhost|local|internal|test|invalid|example|example\.(com|net|org)"
    r"|your-?(domain|site|app|api|server|host|company)\.(com|net|org|io))$"
)


class UnusableUrlError(ValueError):
    """A URL that no browser can open."""


class UncheckedUrlError(ValueError):
    """A URL of another scheme or with a port of another protocol, which is not requested."""


class Address(NamedTuple):
    """A URL, as it is requested."""

    scheme: str
    host: str
    """In lower case and ASCII; without the brackets of an IPv6 address."""

    port: int
    path: str
    """With the query, without the fragment."""

    @property
    def authority(self) -> str:
        """The value of the header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL."""
        return f"{self.scheme}://{self.authority}{self.path}"


def parse_url(url: str) -> Address:
    """Parse a URL as browsers do: the host is decoded and normalised; user and password are dropped.

    Raises:
        UnusableUrlError: it has no host, or an invalid one.
        UncheckedUrlError: its scheme or port is not requested.
    """
    try:
        parts = urlsplit(_CONTROL.sub("", url).strip())
        host = unquote(parts.hostname or "")
        port = parts.port
        # Nameprep makes ASCII digits and dots of full-width ones.
        ascii_host = host if ":" in host else host.encode("idna").decode()
    except ValueError as error:  # and UnicodeError: a wrong port, a label that is empty or too long
        raise UnusableUrlError("the URL is not valid") from error
    if parts.scheme not in PORTS:
        raise UncheckedUrlError(f"{parts.scheme}: is not checked")
    if not re.fullmatch(r"[\w.:%-]+", ascii_host, re.ASCII):
        raise UnusableUrlError("the URL is not valid")
    default = PORTS[parts.scheme]
    port = default if port is None else port
    if port < _WELL_KNOWN and port not in PORTS.values():
        raise UncheckedUrlError(f"port {port} is not checked")
    path = quote(parts.path or "/", safe=_SAFE)
    query = f"?{quote(parts.query, safe=_SAFE)}" if parts.query else ""
    return Address(parts.scheme, ascii_host.lower().rstrip("."), port, path + query)


def redirected(address: Address, location: str) -> Address:
    """The target of a redirect.

    Raises:
        UnusableUrlError, UncheckedUrlError: as `parse_url`.
    """
    try:
        return parse_url(urljoin(address.url, _CONTROL.sub("", location).strip()))
    except ValueError as error:
        if isinstance(error, UnusableUrlError | UncheckedUrlError):
            raise
        raise UnusableUrlError("the redirect's URL is not valid") from error


def is_example(url: str) -> bool:
    """Whether a URL in a text stands for the reader's own machine, or for any host: `http://localhost:8000`.

    Such a URL is no link. Only the usual notation counts: other notations of an address disguise it.
    """
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return False
    try:
        return not ip_address(host).is_global
    except ValueError:
        return bool(_EXAMPLE.search(host))
