"""A web of links with known faults, on 127.0.0.2, beside servers on private addresses that nobody may ask.

The names end with `.links.web`. The path of a URL determines the answer.
"""

import socket
import socketserver
import ssl
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from roadmap_content.content.links.addresses import is_public
from roadmap_content.content.links.judgement import State
from roadmap_content.content.links.web import DeadLinkError, DoubtError, Limits, Web, resolve

PUBLIC = "127.0.0.2"
"""The only loopback address that counts as public here."""

LIVE, DEAD, UNKNOWN = State.LIVE, State.DEAD, State.UNKNOWN

_HTML = "Content-Type: text/html; charset=utf-8\r\n"
_MANY = Limits(connect_seconds=120, read_seconds=120, request_seconds=120)
_FEW = Limits(connect_seconds=0.3, read_seconds=0.3, request_seconds=0.6)

# Notations of 127.0.0.1 and of other addresses that are not public.
DISGUISES: Sequence[str] = (
    "2130706433",
    "0x7f000001",
    "017700000001",
    "0177.0.0.1",
    "127.1",
    "0",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[::127.0.0.1]",
    "１２７.0.0.1",
    "%31%32%37.0.0.1",
    "public.links.web@127.0.0.1",
    "localhost",
    "127.0.0.1.",
    "169.254.169.254",
    "2852039166",
    "[fe80::1]",
    "[fd00:ec2::254]",
    "10.0.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "224.0.0.1",
    "private.links.web",
)


class _Listener(socketserver.ThreadingTCPServer):
    """A server that answers by the path, or only counts its connections."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: str, port: int, web: "LinkWeb", tls: ssl.SSLContext | None = None) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.web, self.tls = web, tls
        super().__init__((address, port), _Answer if address == PUBLIC else _Count)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, *_: Any) -> None:
        """A client may close its connection at any time."""


class _Count(socketserver.BaseRequestHandler):
    server: _Listener

    def handle(self) -> None:
        self.server.web.private_connections += 1


class _Answer(socketserver.BaseRequestHandler):
    server: _Listener

    def handle(self) -> None:
        web, connection = self.server.web, self.request
        if self.server.tls:
            connection = self.server.tls.wrap_socket(connection, server_side=True)
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                if not (piece := connection.recv(65536)):
                    return
                head += piece
            line, *headers = head.decode("latin-1").split("\r\n")
            path = line.split(" ")[1]
            fields = dict(header.split(": ", 1) for header in headers if ": " in header)
            host = fields["Host"].partition(":")[0]
            web.count(host)
            web.answer(connection, "/404/" if host in web.gone else path, fields)


class LinkWeb:
    """The servers, and their requests."""

    def __init__(self, folder: Path) -> None:
        self.over = Event()
        self._lock = Lock()
        self.requests: Counter[str] = Counter()
        self._unanswered: Counter[str] = Counter()
        self.most_at_once: Counter[str] = Counter()
        self.resolved: Counter[str] = Counter()
        self.gone: set[str] = set()
        """Hosts whose pages are missing now."""

        self.private_connections = 0
        self.connected: list[str] = []
        """The addresses of all connections, or attempts, of this process to the ports of this web."""

        self._certificates = _Certificates(folder)
        self.client_tls = ssl.create_default_context(cafile=str(self._certificates.root))
        self.port = self.tls_port = 0

    @contextmanager
    def running(self) -> Iterator["LinkWeb"]:
        """Serve until the end of the context."""
        with ExitStack() as stack:
            plain = _Listener(PUBLIC, 0, self)
            tls = _Listener(PUBLIC, 0, self, self._certificates.server_context())
            self.port, self.tls_port = plain.port, tls.port
            listeners = [plain, tls]
            for address in ("127.0.0.1", "::1"):
                for port in (self.port, self.tls_port):
                    try:
                        listeners.append(_Listener(address, port, self))
                    except OSError:  # no IPv6 here
                        if address == "127.0.0.1":
                            raise
            for listener in listeners:
                stack.enter_context(listener)
                Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
                stack.callback(listener.shutdown)
            stack.callback(self.over.set)
            _watch_connections(self)
            stack.callback(_WATCHING.remove, self)
            yield self

    def count(self, host: str) -> None:
        """Count a request to a host, and how many of them have no answer yet at the same time.

        Not how many are being answered: a client that has read its answer may send the next request before
        the server's thread has ended.
        """
        with self._lock:
            self.requests[host] += 1
            self._unanswered[host] += 1
            self.most_at_once[host] = max(self.most_at_once[host], self._unanswered[host])
        self.over.wait(0.01)  # so that requests at the same time meet
        with self._lock:
            self._unanswered[host] -= 1

    def web(self, *, patient: bool = True) -> Web:
        """The internet of the link check. Only slow servers need limits; others must not be late here."""
        return Web(
            resolve=self._resolve,
            is_public=lambda address: address == PUBLIC or is_public(address),
            tls=self.client_tls,
            limits=_MANY if patient else _FEW,
        )

    def _resolve(self, host: str, port: int) -> list[str]:
        self.resolved[host] += 1
        if not host.endswith(".links.web"):
            return resolve(host, port)  # any notation of an address
        if host.startswith("no-such"):
            raise DeadLinkError("its host does not exist")
        if host.startswith("unresolved"):
            raise DoubtError("its host could not be resolved")
        if host.startswith("private"):
            return ["127.0.0.1"]
        if host.startswith("both"):
            return ["127.0.0.1", PUBLIC]
        if host.startswith("rebinding") and self.resolved[host] > 1:
            return ["127.0.0.1"]
        return [PUBLIC]

    def http(self, host: str, path: str) -> str:
        """A URL of this web."""
        return f"http://{host}.links.web:{self.port}/{path}"

    def https(self, host: str, path: str = "ok/page") -> str:
        """A URL with TLS; the host's first word selects the certificate."""
        return f"https://{host}.links.web:{self.tls_port}/{path}"

    def disguised(self, host: str) -> str:
        """A URL of a private address at the port of the server that counts."""
        return f"http://{host}:{self.port}/ok/secret"

    def answer(self, connection: socket.socket, path: str, fields: dict[str, str]) -> None:
        """Answer by the path; other pages are missing, in the way of their host."""
        kind, _, rest = path.lstrip("/").partition("/")
        if kind == "ok" and len(rest) == 32:  # an impossible page beside a good one
            kind = "404"
        if kind.isdecimal():
            _send(connection, int(kind), _HTML, _page("An error"))
            return
        answers: dict[str, Callable[[], None]] = {
            "ok": lambda: _send(connection, 200, _HTML, _page("A page")),
            "about-404": lambda: (
                _send(connection, 404, _HTML, _page("Missing"))
                if len(rest) == 32
                else _send(connection, 200, _HTML, _page("HTTP 404 explained"))
            ),
            "soft": lambda: _send(connection, 200, _HTML, _page("Page not found - Site")),
            "soft-gbk": lambda: _send(
                connection,
                200,
                "Content-Type: text/html\r\n",
                '<html><meta charset="gbk"><title>页面不存在</title>'.encode("gbk"),
            ),
            "catch-all": lambda: _redirect(connection, "/"),
            "moved-home": lambda: (
                _send(connection, 404, _HTML, _page("Missing"))
                if len(rest) == 32
                else _redirect(connection, "/")
            ),
            "to-error": lambda: _redirect(connection, "/errors/404.html"),
            "errors": lambda: _send(connection, 200, _HTML, _page("Sorry")),
            "": lambda: _send(connection, 200, _HTML, _page("Welcome")),
            "pdf": lambda: _endless(connection, "Content-Type: application/pdf\r\n", self.over),
            "huge": lambda: _endless(connection, _HTML, self.over),
            "chunked": lambda: connection.sendall(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/html\r\n\r\n"
                b"8\r\n<title>a\r\n8\r\n</title>\r\n0\r\n\r\n"
            ),
            "headless": lambda: connection.sendall(b"HTTP/1.0 200 OK\r\n\r\n<title>A page</title>"),
            "to": lambda: _redirect(connection, unquote(rest)),
            "utf-8-location": lambda: connection.sendall(
                "HTTP/1.1 302 Found\r\nLocation: /ok/日本\r\nContent-Length: 0\r\n\r\n".encode()
            ),
            "steps": lambda: _redirect(connection, f"/steps/{int(rest) - 1}" if int(rest) else "/ok/end"),
            "loop": lambda: _redirect(connection, f"/loop/{'b' if rest == 'a' else 'a'}"),
            "spiral": lambda: _redirect(connection, f"/spiral/{int(rest) + 1}"),
            "cookie": lambda: (
                _send(connection, 200, _HTML, _page("A page"))
                if "seen=1" in fields.get("Cookie", "")
                else _redirect(connection, path, "Set-Cookie: seen=1; Path=/\r\n")
            ),
            "mail": lambda: _redirect(connection, "mailto:someone@links.web"),
            "nowhere": lambda: connection.sendall(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n"),
            "silent": lambda: _wait(self.over),
            "drip": lambda: _drip(connection, b"HTTP/1.1 200 OK\r\n" + b"X-More: 1\r\n" * 1000, self.over),
            "slow-body": lambda: _drip(
                connection, b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + b" " * 5000, self.over, 50
            ),
            "empty": lambda: None,
            "garbage": lambda: connection.sendall(b"\x00\xff\xfe no protocol\r\n\r\n"),
            "headers": lambda: _endless_headers(connection),
        }
        answers.get(kind, answers[""])()


def _page(title: str) -> bytes:
    return f"<!doctype html><html><head><title>{title}</title></head><body>text</body></html>".encode()


def _send(connection: socket.socket, status: int, headers: str, body: bytes) -> None:
    phrase = HTTPStatus(status).phrase
    head = f"HTTP/1.1 {status} {phrase}\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    connection.sendall(head.encode() + body)


def _redirect(connection: socket.socket, location: str, headers: str = "") -> None:
    connection.sendall(
        f"HTTP/1.1 302 Found\r\nLocation: {location}\r\n{headers}Content-Length: 0\r\n\r\n".encode()
    )


def _endless(connection: socket.socket, headers: str, over: Event) -> None:
    connection.sendall(f"HTTP/1.1 200 OK\r\n{headers}Content-Length: {10**12}\r\n\r\n".encode())
    while not over.is_set():
        connection.sendall(b"x" * 65536)


def _endless_headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-Filler: " + b"x" * 1000 + b"\r\n")


def _wait(over: Event) -> None:
    over.wait()


def _drip(connection: socket.socket, answer: bytes, over: Event, at_once: int = 1) -> None:
    """Send a little at a time: each read succeeds, and the answer never ends."""
    for start in range(0, len(answer), at_once):
        connection.sendall(answer[start : start + at_once])
        if over.wait(0.05):
            return


_WATCHING: list[LinkWeb] = []


def _watch_connections(web: LinkWeb) -> None:
    """Note every connection attempt of this process to the ports of a web, as Python's audit reports it."""
    if not _HOOKED:
        sys.addaudithook(_note_connection)
        _HOOKED.append(True)
    _WATCHING.append(web)


_HOOKED: list[bool] = []


def _note_connection(event: str, arguments: tuple[Any, ...]) -> None:
    if event != "socket.connect":
        return
    for web in _WATCHING:
        address = arguments[1]
        if isinstance(address, tuple) and address[1] in (web.port, web.tls_port):
            web.connected.append(address[0])


class _Certificates:
    """Certificates with known faults, by the first word of a host's name."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        now = datetime.now(UTC)
        year = timedelta(days=365)
        root_key, root = _certify("Test root", "", None, now - year, now + year)
        other_key, _ = _certify("Unknown root", "", None, now - year, now + year)
        self.root = folder / "root.pem"
        self.root.write_bytes(root.public_bytes(serialization.Encoding.PEM))
        names = {
            "good": ("*.links.web", (root_key, "Test root"), now + year),
            "expired": ("*.links.web", (root_key, "Test root"), now - timedelta(days=1)),
            "misnamed": ("other.example", (root_key, "Test root"), now + year),
            "selfsigned": ("*.links.web", None, now + year),
            "unknown": ("*.links.web", (other_key, "Unknown root"), now + year),
        }
        self._contexts = {
            name: self._context(name, *_certify("leaf", host, issuer, now - year, end))
            for name, (host, issuer, end) in names.items()
        }

    def _context(self, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> Any:
        path = self._folder / f"{name}.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def server_context(self) -> ssl.SSLContext:
        """A context that chooses the certificate by the requested name."""
        context: ssl.SSLContext = self._contexts["good"]

        def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> int | None:
            kind = (name or "").partition("-")[0].partition(".")[0]
            if kind == "handshake":
                return ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE
            connection.context = self._contexts.get(kind, self._contexts["good"])
            return None

        context.sni_callback = choose
        return context


def _certify(
    subject: str,
    host: str,
    issuer: tuple[ec.EllipticCurvePrivateKey, str] | None,
    begin: datetime,
    end: datetime,
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    signer, issuer_name = issuer or (key, subject)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(subject))
        .issuer_name(_named(issuer_name))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=not host, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if host:
        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        builder = builder.add_extension(names, critical=False)
    return key, builder.sign(signer, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def known_links(web: LinkWeb) -> dict[str, State]:
    """1,000 URLs with the state that the check must find."""
    live: list[Callable[[int], str]] = [
        lambda n: web.http(f"live-{n}", "ok/page"),
        lambda n: web.http(f"live-{n}", "ok/page?q=%20a&b=c#part"),
        lambda n: web.http(f"live-{n}", "ok/日本語"),
        lambda n: web.http(f"live-{n}", ""),
        lambda n: web.http(f"live-{n}", "pdf/book.pdf"),
        lambda n: web.http(f"live-{n}", "huge/page"),
        lambda n: web.http(f"live-{n}", "chunked/page"),
        lambda n: web.http(f"live-{n}", "headless/page"),
        lambda n: web.http(f"live-{n}", "to//ok/moved"),
        lambda n: web.http(f"live-{n}", f"to/{web.http(f'moved-{n}', 'ok/there')}"),
        lambda n: web.http(f"live-{n}", f"to/{web.https(f'good-{n}')}"),
        lambda n: web.http(f"live-{n}", "utf-8-location/page"),
        lambda n: web.http(f"live-{n}", "steps/9"),
        lambda n: web.http(f"live-{n}", "cookie/page"),
        lambda n: web.http(f"live-{n}", "about-404/page"),
        lambda n: web.http(f"live-{n}", "moved-home/index.html"),
        lambda n: web.https(f"good-{n}"),
        lambda n: web.http(f"both-{n}", "ok/page"),
        lambda n: web.http(f"rebinding-live-{n}", "ok/page"),
        # One host with all of its pages.
        lambda n: web.http("popular", f"ok/page-{n}"),
    ]
    dead: list[Callable[[int], str]] = [
        lambda n: web.http(f"dead-{n}", "404/page"),
        lambda n: web.http("popular", f"404/page-{n}"),
        lambda n: web.http(f"dead-{n}", "410/page"),
        lambda n: web.https(f"good-dead-{n}", "404/page"),
        lambda n: web.http(f"dead-{n}", "soft/page"),
        lambda n: web.http(f"dead-{n}", "soft-gbk/page"),
        lambda n: web.http(f"dead-{n}", "catch-all/page"),
        lambda n: web.http(f"dead-{n}", "to-error/page"),
        lambda n: web.http(f"dead-{n}", "to//404/page"),
        lambda n: web.http(f"dead-{n}", "loop/a"),
        lambda n: web.http(f"dead-{n}", "spiral/1"),
        lambda n: web.https(f"expired-{n}"),
        lambda n: web.https(f"misnamed-{n}"),
        lambda n: web.https(f"selfsigned-{n}"),
        lambda n: web.http(f"no-such-{n}", "ok/page"),
        lambda n: web.http(f"private-{n}", "ok/page"),
        lambda n: web.http(f"dead-{n}", f"to/{web.disguised(DISGUISES[n % len(DISGUISES)])}"),
        lambda n: web.http(f"rebinding-{n}", "to//ok/again"),
        lambda n: web.http(f"dead-{n}", f"to/{web.http(f'private-{n}', 'ok/page')}"),
    ]
    unknown: list[Callable[[int], str]] = [
        lambda n: web.http(f"busy-{n}", "403/page"),
        lambda n: web.http(f"busy-{n}", "429/page"),
        lambda n: web.http(f"busy-{n}", "401/page"),
        lambda n: web.http(f"busy-{n}", "500/page"),
        lambda n: web.http(f"busy-{n}", "503/page"),
        lambda n: web.http(f"busy-{n}", "empty/page"),
        lambda n: web.http(f"busy-{n}", "garbage/page"),
        lambda n: web.http(f"busy-{n}", "mail/page"),
        lambda n: web.http(f"busy-{n}", "nowhere/page"),
        lambda n: web.https(f"unknown-{n}"),
        lambda n: web.https(f"handshake-{n}"),
        lambda n: web.http(f"unresolved-{n}", "ok/page"),
    ]
    rounds = 18
    found = {
        make(number): state
        for state, makers, times in ((LIVE, live, rounds), (DEAD, dead, rounds), (UNKNOWN, unknown, 15))
        for number in range(times)
        for make in makers
    }
    found |= {web.disguised(host): DEAD for host in DISGUISES}
    found |= slow_links(web)
    while len(found) < 1000:
        found[web.http("popular", f"ok/more-{len(found)}")] = LIVE
    return found


def slow_links(web: LinkWeb) -> dict[str, State]:
    """Servers that do not answer in time, and one that does, but whose body is slow."""
    return {
        web.http(f"slow-{number}", f"{kind}/page"): state
        for number in range(8)
        for kind, state in (("silent", UNKNOWN), ("drip", UNKNOWN), ("slow-body", LIVE))
    }


def is_slow(url: str) -> bool:
    """Whether a URL belongs to `slow_links`."""
    return (urlsplit(url).hostname or "").startswith("slow-")
