"""The check of links: on a web of names that lead to 127.0.0.2, beside a server that no check may reach."""

import json
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from threading import Event
from time import process_time
from urllib.parse import unquote

import pytest

from functions.check_links import app
from local_stack.builds import REPOSITORY
from tests.support.tls import serve, server_context

PUBLIC, PRIVATE = "127.0.0.2", "127.0.0.1"

# Notations of addresses that are not public, as hosts of a URL.
DISGUISES = (
    *("2130706433", "0x7f000001", "017700000001", "0177.0.0.1", "127.1", "0", "127.0.0.1.", "localhost"),
    *("[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"),
    *("[::127.0.0.1]", "１２７.0.0.1", "%31%32%37.0.0.1", "site.web@127.0.0.1", "169.254.169.254"),
    *("2852039166", "[fe80::1]", "[fd00:ec2::254]", "10.0.0.1", "192.168.0.1", "100.64.0.1", "224.0.0.1"),
)
NOT_PUBLIC = (
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.2", "169.254.169.254", "172.31.0.1", "192.0.0.170"),  # noqa: S104
    *("192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "255.255.255.255"),
    *("::", "::1", "::127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1"),
    *("2001:db8::1", "2002:808:808::1", "3fff::1", "fc00::1", "fd00:ec2::254", "fe80::1%eth0", "fec0::1"),
    *("ff02::1", "", "localhost", "8.8.8.8.8"),
)
OK = b"HTTP/1.1 200 OK\r\n"


def moved(location: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


def status(number: int) -> bytes:
    return f"HTTP/1.1 {number} Status\r\nContent-Length: 0\r\n\r\n".encode()


PAGES: Mapping[str, bytes] = {
    "/ok": OK + b"\r\ntext",
    "/charset-header": OK + b"Content-Type: text/html; charset=idna\r\n\r\n<title>a</title>",
    "/charset-meta": OK + b'\r\n<meta charset="punycode"><title>a</title>',
    "/日本": OK + b"\r\n",
    "/404": status(404),
    "/410": status(410),
    "/403": status(403),
    "/500": status(500),
    "/moved": moved("/ok?a=b#c"),
    "/moved-utf-8": moved("/日本"),
    "/moved-to-nothing": moved("/404"),
    "/circle": moved("/circle"),
    "/mail": moved("mailto:someone@site.web"),
    "/secure-elsewhere": moved("https://other.web/ok"),
    "/to-www": moved("http://www.to-www.web/ok"),
    "/empty": b"",
    "/garbage": b"\x00\xff no protocol\r\n\r\n",
    "/many-headers": OK + b"X-More: 1\r\n" * 200 + b"\r\n",
}


class Web:
    """The servers, their requests, and the resolver."""

    def __init__(self) -> None:
        self.requested: list[str] = []
        self.private = 0
        self.over = Event()
        self.resolved: dict[str, int] = {}

    def resolve(self, host: str, port: int) -> Sequence[str]:
        self.resolved[host] = self.resolved.get(host, 0) + 1
        if not host.endswith(".web"):
            return real_resolve(host, port)
        rebinds = host == "rebinding.web" and self.resolved[host] > 1
        return [PRIVATE] if rebinds or host == "private.web" else [PUBLIC]

    def answer(self, connection: socket.socket) -> None:
        request = connection.recv(65536).decode()
        path = request.split(" ")[1]
        host = request.partition("Host: ")[2].partition("\r\n")[0]
        self.requested.append(f"{host.partition(':')[0]}{path}")
        match unquote(path.partition("?")[0]):
            case "/busy":
                connection.sendall(status(429))
            case "/silent":
                self.over.wait(60)
            case "/drip":
                connection.sendall(OK)
                while not self.over.wait(0.02):
                    connection.sendall(b"X")
            case "/endless":
                connection.sendall(OK + b"\r\n")
                while not self.over.is_set():
                    connection.sendall(b"x" * 65536)
            case found:
                connection.sendall(PAGES[found])


real_resolve, real_is_public = app.resolve, app.is_public


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    web = Web()

    def count(_: socket.socket) -> None:
        web.private += 1

    # The private address chooses the port: other servers, and all clients, have theirs there.
    private = serve((PRIVATE, 0), count)
    port = private.server_address[1]
    public = serve((PUBLIC, port), web.answer)
    monkeypatch.setattr(app, "PORTS", {"http": port, "https": 443})
    monkeypatch.setattr(app, "resolve", web.resolve)
    monkeypatch.setattr(app, "is_public", lambda address: address == PUBLIC or real_is_public(address))
    monkeypatch.setattr(app, "SECONDS", 60.0)  # this machine may be busy
    monkeypatch.setattr(app, "CHECK_SECONDS", 600.0)
    yield web
    web.over.set()
    for server in (public, private):
        server.shutdown()
        server.server_close()


def test_only_a_page_that_no_reader_can_open_is_dead(web: Web) -> None:
    urls = [f"http://{path[1:]}.web{path}" for path in PAGES if path.isascii()]
    urls += ["http://endless.web/endless", "http://private.web/ok"]
    urls += ["http://", "http://a..b/", "http://a:b/", "ftp://site.web/", "http://site.web:25/"]
    dead = app.Check().dead_among(urls)
    assert dead == {
        "http://404.web/404": "404",
        "http://410.web/410": "410",
        "http://moved-to-nothing.web/moved-to-nothing": "404",
        "http://secure-elsewhere.web/secure-elsewhere": "it redirects to other.web",
        "http://private.web/ok": "its address is not public",
        **dict.fromkeys(("http://", "http://a..b/", "http://a:b/"), "the URL is not valid"),
    }
    assert web.private == 0
    assert web.requested.count("moved.web/ok?a=b") == 1


def test_a_name_that_leads_elsewhere_the_second_time_is_not_requested_there(web: Web) -> None:
    urls = ["http://site.web/moved", "http://rebinding.web/moved"]
    assert app.Check().dead_among(urls) == {"http://rebinding.web/moved": "its address is not public"}
    assert web.resolved["rebinding.web"] == 2
    assert web.private == 0


@pytest.mark.parametrize("host", DISGUISES)
def test_no_notation_of_a_private_address_is_requested(web: Web, host: str) -> None:
    url = f"http://{host}:{app.PORTS['http']}/secret"
    assert list(app.Check().dead_among([url])) == [url]
    assert (web.private, web.requested) == (0, [])


def test_a_busy_host_is_not_asked_again_and_a_host_is_asked_one_at_a_time(web: Web) -> None:
    urls = [*(f"http://busy.web/busy?{number}" for number in range(9)), "http://busy.web/404"]
    urls += ["http://BUSY.web/404", "http://busy.web?404", "http://busy.web#404"]
    assert app.Check().dead_among(urls) == {}
    assert web.requested == ["busy.web/busy?0"]


def test_a_link_stays_when_the_time_is_up(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "CHECK_SECONDS", 0.3)
    check = app.Check()
    assert check.dead_among(["http://silent.web/silent", "http://drip.web/drip", "http://drip.web/404"]) == {}
    assert web.requested.count("drip.web/404") == 0


def test_a_certificate_is_valid_for_the_name_of_the_link_only(
    web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    served, authority = server_context("good.web", tmp_path, self_signed=True)

    def answer(connection: socket.socket) -> None:
        with served.wrap_socket(connection, server_side=True) as encrypted:
            web.answer(encrypted)

    server = serve((PUBLIC, 0), answer)
    monkeypatch.setitem(app.PORTS, "https", server.server_address[1])
    try:
        reason = "its certificate is not valid"
        urls = ["https://good.web/ok", "https://other.web/ok"]
        assert app.Check().dead_among(urls) == dict.fromkeys(urls, reason)
        monkeypatch.setattr(app, "TLS", ssl.create_default_context(cadata=authority.decode()))
        assert app.Check().dead_among(urls) == {"https://other.web/ok": reason}
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("address", ["8.8.8.8", "151.101.1.69", "2606:4700::6810:84e5", "2a00:1450:4001::1"])
def test_hosts_of_the_internet_are_public(address: str) -> None:
    assert app.is_public(address)


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_other_addresses_are_not(address: str) -> None:
    assert not app.is_public(address)


@pytest.mark.parametrize(
    ("url", "requested"),
    [
        ("HTTP://Example.ORG", "http://example.org/"),
        (
            "https://user:secret@example.org:443/a b?c=ü&d=%20#part",
            "https://example.org/a%20b?c=%C3%BC&d=%20",
        ),
        ("http://bücher.example.org/路", "http://xn--bcher-kva.example.org/%E8%B7%AF"),
        ("http://example.org:8080?q", "http://example.org:8080/?q"),
        ("http://%6c%6fcalhost./", "http://localhost/"),
        ("http://[::1]:8000/", "http://[::1]:8000/"),
        ("http://example.org/a\r\nX-More: 1", "http://example.org/aX-More:%201"),
    ],
)
def test_a_url_is_requested_as_by_a_browser(url: str, requested: str) -> None:
    assert app.parse(url).geturl() == requested


TEXT = """# Title

[one](https://a.org/1_(x) "Title"), ![image](https://a.org/2), <https://a.org/3>, https://a.org/4. (https://a.org/5)

`https://a.org/code` ``[x](https://a.org/code)`` http://localhost:3000/ [it](https://api.example.com/x)

~~~
[x](https://a.org/code)
~~~

```python
url = "https://a.org/code"
"""


def test_the_links_of_a_text_are_those_outside_code_and_without_examples() -> None:
    urls = ["https://a.org/1_(x)", *(f"https://a.org/{number}" for number in (2, 3, 4, 5))]
    assert list(app.links_in("tutorial", {"markdown": TEXT})) == urls
    assert list(app.links_in("tutorial", {"markdown": "http://2130706433/"})) == ["http://2130706433/"]


def test_a_link_becomes_its_text_and_a_bare_one_rejects_the_item() -> None:
    dead = {"https://a.org/1_(x)", "https://a.org/2", "https://a.org/code"}
    text = TEXT.replace('[one](https://a.org/1_(x) "Title")', "one").replace(
        "![image](https://a.org/2)", "image"
    )
    found = app.without_links("tutorial", {"markdown": TEXT, "other": 1}, dead)
    assert found == {"markdown": text, "other": 1}
    assert app.without_links("tutorial", {"markdown": TEXT}, {"https://a.org/4"}) is None


def test_a_resource_is_removed_if_enough_remain() -> None:
    content = {"resources": [{"url": f"https://a.org/{number}"} for number in range(4)]}
    kept = app.without_links("resources", content, {"https://a.org/2"})
    assert kept == {"resources": [{"url": f"https://a.org/{number}"} for number in (0, 1, 3)]}
    assert app.without_links("resources", content, {"https://a.org/2", "https://a.org/3"}) is None


@pytest.mark.parametrize(
    "text",
    [
        *(lambda n: "`" * n, lambda n: "x" + "`" * n),
        lambda n: " ".join("`" * length for length in range(int(n**0.5))),
        *(lambda n: "http://a" + ")" * n, lambda n: "http://a" + ")." * n, lambda n: "[" * n),
        *(lambda n: "[x](http://a(" * n, lambda n: "[x](http://a()" * n, lambda n: "[x](http://a 'b" * n),
        *(lambda n: "~~~\n" * n, lambda n: "```" + "\n`" * n, lambda n: "[x](http://10.0.0.1) " * n),
    ],
)  # fmt: skip
def test_the_time_for_a_text_grows_with_its_length(text: Callable[[int], str]) -> None:
    """Regression: 100,000 backticks took 13 seconds."""

    def seconds(length: int) -> float:
        content = {"markdown": text(length)}
        began = process_time()
        app.without_links("tutorial", content, set(app.links_in("tutorial", content)))
        return process_time() - began

    short, long = (min(seconds(length) for _ in range(2)) for length in (1_000, 8_000))
    assert long < max(0.02, 24 * short), "8 if it is linear, 64 if it is quadratic"


def test_the_function_answers_its_event_without_a_request() -> None:
    event = json.loads((REPOSITORY / "events/check_links.json").read_text())
    accepted, rejected = app.handler(event, None)["verdicts"]
    assert accepted == {"verdict": "accept"}
    assert rejected == {
        "verdict": "reject",
        "code": "DeadLinks",
        "reason": 'dead links: "http://169.254.169.254/latest/meta-data/ (its address is not public), '
        'http://2130706433/ (its address is not public)"',
    }
