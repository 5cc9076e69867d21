"""One request to a public address, bounded in time and bytes.

The name is resolved once. The connection goes to an address that was checked, with the name only in TLS and
in the header `Host`: a second resolution cannot lead elsewhere.
"""

import io
import re
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import NamedTuple

from ...platform.runtime.deadline import Deadline
from .addresses import is_public
from .urls import Address

AGENT = "Mozilla/5.0 (compatible; roadmap-content-link-check)"
"""Hosts refuse unknown agents less often if the name begins as those of browsers do."""

ADDRESSES = 2
"""Addresses of a name that are tried."""

_PIECE = 4096
_HTML = ("text/html", "application/xhtml+xml")
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_CHARSET = re.compile(rb"charset=[\"']?([\w-]+)", re.IGNORECASE)

# Errors that a browser shows as well: the certificate has expired, is for another name or address, or signed
# by itself. Others, such as a missing intermediate certificate, are repaired by browsers.
_BAD_CERTIFICATE: Mapping[int, str] = {
    10: "its certificate has expired",
    18: "its certificate is signed by itself",
    62: "its certificate is for another name",
    64: "its certificate is for another address",
}


class DeadLinkError(Exception):
    """No reader can open the page. The message has the reason."""


class DoubtError(Exception):
    """The page could not be read now. The message has the reason."""


class Limits(NamedTuple):
    """The limits of one request."""

    connect_seconds: float = 3
    read_seconds: float = 5
    request_seconds: float = 8
    bytes: int = 16 * 1024
    """Bytes that are read, headers included."""


class Page(NamedTuple):
    """An answer."""

    status: int
    location: str
    cookies: Mapping[str, str]
    title: str
    """Of an HTML page, if it is at its beginning."""

    bytes_read: int


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a name, or of any notation of an address.

    Raises:
        DeadLinkError: the name does not exist.
        DoubtError: it cannot be resolved now.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA):
            raise DeadLinkError("its host does not exist") from error
        raise DoubtError("its host could not be resolved") from error
    except (OSError, UnicodeError) as error:
        raise DoubtError("its host could not be resolved") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Web:
    """The public internet. Tests give it other names, addresses, certificates and limits."""

    def __init__(
        self,
        *,
        resolve: Callable[[str, int], Sequence[str]] = resolve,
        is_public: Callable[[str], bool] = is_public,
        tls: ssl.SSLContext | None = None,
        limits: Limits | None = None,
    ) -> None:
        self._resolve = resolve
        self._is_public = is_public
        self._tls = tls or ssl.create_default_context()
        self._limits = limits or Limits()

    def get(self, address: Address, cookies: Mapping[str, str], deadline: Deadline) -> Page:
        """Request a page, and read its beginning.

        Raises:
            DeadLinkError: the host does not exist, is not public, or has an invalid certificate.
            DoubtError: no answer in time, or no valid one.
        """
        deadline = deadline.within(self._limits.request_seconds)
        public = [each for each in self._resolve(address.host, address.port) if self._is_public(each)]
        if not public:
            raise DeadLinkError("its address is not public")
        try:
            with self._connect(public[:ADDRESSES], address, deadline) as connection:
                connection.sendall(_request(address, cookies))
                return self._read(connection, deadline)
        except ssl.SSLCertVerificationError as error:
            if reason := _BAD_CERTIFICATE.get(error.verify_code):
                raise DeadLinkError(reason) from error
            raise DoubtError("its certificate could not be verified") from error
        except TimeoutError as error:
            raise DoubtError("no answer in time") from error
        except (OSError, HTTPException) as error:
            raise DoubtError(f"no valid answer: {type(error).__name__}") from error

    def _connect(self, public: Sequence[str], address: Address, deadline: Deadline) -> socket.socket:
        for number, each in enumerate(public, 1):
            seconds = min(self._limits.connect_seconds, _left(deadline))
            try:
                connection = socket.create_connection((each, address.port), timeout=seconds)
            except OSError:
                if number == len(public):
                    raise
                continue
            break
        if address.scheme == "http":
            return connection
        try:
            connection.settimeout(min(self._limits.read_seconds, _left(deadline)))
            return self._tls.wrap_socket(connection, server_hostname=address.host)
        except BaseException:
            connection.close()
            raise

    def _read(self, connection: socket.socket, deadline: Deadline) -> Page:
        reader = _BoundedReader(connection, self._limits, deadline)
        response = HTTPResponse(reader)  # type: ignore[arg-type]  # it only needs `makefile`
        response.begin()
        return Page(
            response.status,
            # Headers are decoded as Latin-1; a location may be UTF-8.
            response.getheader("Location", "").encode("latin-1").decode("utf-8", "replace"),
            _cookies(response),
            _title(response),
            reader.bytes_read,
        )


class _BoundedReader(io.RawIOBase):
    """A connection that is read until a deadline, and ends after a number of bytes."""

    def __init__(self, connection: socket.socket, limits: Limits, deadline: Deadline) -> None:
        self._connection = connection
        self._limits = limits
        self._deadline = deadline
        self.bytes_read = 0

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self, _PIECE)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        room = min(len(buffer), self._limits.bytes - self.bytes_read)
        if room <= 0:
            return 0
        self._connection.settimeout(min(self._limits.read_seconds, _left(self._deadline)))
        size = self._connection.recv_into(buffer, room)
        self.bytes_read += size
        return size


def _left(deadline: Deadline) -> float:
    if (seconds := deadline.remaining) <= 0:
        raise TimeoutError
    return seconds


def _request(address: Address, cookies: Mapping[str, str]) -> bytes:
    """A request for a page. Its parts are quoted, so that none can add a line."""
    lines = [
        f"GET {address.path} HTTP/1.1",
        f"Host: {address.authority}",
        f"User-Agent: {AGENT}",
        "Accept: text/html,application/xhtml+xml,*/*;q=0.8",
        "Accept-Encoding: identity",
        "Connection: close",
    ]
    if cookies:
        lines.append("Cookie: " + "; ".join(f"{name}={value}" for name, value in cookies.items()))
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _cookies(response: HTTPResponse) -> dict[str, str]:
    """The cookies that an answer sets: some sites redirect to the same page until they get theirs."""
    pairs = [header.partition(";")[0].partition("=") for header in response.headers.get_all("Set-Cookie", [])]
    return {
        name.strip(): value.strip()
        for name, _, value in pairs
        if re.fullmatch(r"[!-:<>-~]+", name.strip()) and re.fullmatch(r"[!-:<-~]*", value.strip())
    }


def _title(response: HTTPResponse) -> str:
    """The title of an HTML page. Other bodies are not read."""
    if response.status >= 300 or response.headers.get_content_type() not in _HTML:
        return ""
    body = b""
    try:
        while not (found := _TITLE.search(body)) and (piece := response.read1(_PIECE)):
            body += piece
    except IncompleteRead as cut:
        found = _TITLE.search(body + cut.partial)
    except (OSError, HTTPException):
        return ""  # the page exists
    if not found:
        return ""
    declared = _CHARSET.search(body)
    charset = response.headers.get_content_charset() or (declared[1].decode() if declared else "utf-8")
    try:
        return found[1].decode(charset, "replace").strip()
    except LookupError:
        return found[1].decode("utf-8", "replace").strip()
