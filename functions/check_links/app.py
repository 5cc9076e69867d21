"""A check of contents as a function of its own: it corrects or rejects items with dead links.

An example of a check (docs/generation.md): it needs urllib3, which boto3 brings, and nothing else of this
repository. A link is dead if no reader can open it: its host does not exist or is not public, its certificate
is not valid, its page is missing, or it redirects to another site. Doubt is not death: after a timeout, or
another answer, a link stays. No body is read.
"""

import logging
import re
import socket
import ssl
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, suppress
from http.client import HTTPException
from ipaddress import IPv6Address, IPv6Network, ip_address, ip_network
from threading import Event
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError

RESOURCES = 3  # that must remain if dead ones are removed; with fewer, the item is rejected
THREADS, MAX_REDIRECTS = 32, 5
CHECK_SECONDS, SECONDS = 30.0, 5.0
"""The limit for all links of an event (those that are not checked by then stay), and for one wait."""

TLS = ssl.create_default_context()
PORTS = {"http": 80, "https": 443}
BAD_CERTIFICATES = 10, 18, 62, 64  # expired, its own issuer, another name or address; browsers repair others
UNICAST = IPv6Network("2000::/3")  # others have an IPv4 address in them, or are not public
# 6to4 and its relays, Teredo and other protocols; for documentation, which old Pythons call global.
SPECIAL = tuple(map(ip_network, ("192.88.99.0/24", "2002::/16", "2001::/23", "3fff::/20")))

# Hosts in a text that stand for the reader's own machine or for any host (RFC 2606, RFC 6761).
EXAMPLE = re.compile(r"(^|\.)(localhost|local|internal|test|invalid|example|example\.(com|net|org))$")
FENCE = re.compile(r"^ {0,3}(?P<fence>`{3,}|~{3,})[\s\S]*?(?:^ {0,3}(?P=fence)[`~]*[ \t]*$|\Z)", re.MULTILINE)
LINK = re.compile(
    r"!?\[(?P<text>[^\[\]\n]*)\]\(\s*<?(?P<url>https?://[^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?"
    r"(?:\s+(?:\"[^\"\n]*\"|'[^'\n]*'))?\s*\)|(?P<bare>https?://[^\s<>\"'`\]\\]+)"
)
PUNCTUATION = ".,;:!?*_~，。；：！？、）】》"
logger = logging.getLogger(__name__)


class DeadLinkError(Exception):
    """No reader can open the page. The message is the reason."""


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answer a verdict for each item."""
    items = [(item["content_type"], item["content"]) for item in event["items"]]
    urls = {url for item in items for url in links_in(*item)}
    dead = Check().dead_among(urls)
    logger.info("links_checked", extra={"items": len(items), "links": len(urls), "dead": len(dead)})
    return {"verdicts": [verdict(*item, dead) for item in items]}


def verdict(content_type: str, content: dict[str, Any], reasons: Mapping[str, str]) -> dict[str, Any]:
    """The verdict on an item. `reasons` has the dead links of all items."""
    dead = sorted(set(links_in(content_type, content)) & reasons.keys())
    if not dead:
        return {"verdict": "accept"}
    if (corrected := without_links(content_type, content, dead)) is not None:
        return {"verdict": "accept", "content": corrected}
    listed = ", ".join(f"{url} ({reasons[url]})" for url in dead).replace('"', "%22")
    # At most 500 characters are kept of a reason. In quotes, it does not split failures into groups.
    return {"verdict": "reject", "code": "DeadLinks", "reason": f'dead links: "{listed[:400]}"'}


def links_in(content_type: str, content: Mapping[str, Any]) -> Iterator[str]:
    """The URLs that a learner can follow."""
    if content_type == "resources":
        yield from (resource["url"] for resource in content["resources"])
    elif content_type == "tutorial":
        yield from (url for _, url in _links_of_text(content["markdown"]) if not is_example(url))


def without_links(content_type: str, content: dict[str, Any], dead: Collection[str]) -> dict[str, Any] | None:
    """The content without dead links; `None` if too little would remain.

    A resource is removed if enough others remain. In a tutorial, a link becomes its text; a bare URL cannot
    be removed from its sentence.
    """
    if content_type == "resources":
        kept = [resource for resource in content["resources"] if resource["url"] not in dead]
        return content | {"resources": kept} if len(kept) >= RESOURCES else None
    text, pieces, end = content["markdown"], [], 0
    for found, url in _links_of_text(text):
        if url in dead:
            if found["url"] is None:
                return None
            pieces += [text[end : found.start()], found["text"]]
            end = found.end()
    return content | {"markdown": "".join([*pieces, text[end:]])}


def _links_of_text(markdown: str) -> Iterator[tuple[re.Match[str], str]]:
    """The links outside code, and their URLs. The time is linear in the length of the text."""
    without_blocks = FENCE.sub(lambda block: re.sub(r"[^\n]", " ", block[0]), markdown)
    without_code = "".join(map(_without_code_spans, without_blocks.splitlines(keepends=True)))
    for found in LINK.finditer(without_code):
        if url := found["url"] or _without_punctuation(found["bare"]):
            yield found, url


def _without_code_spans(line: str) -> str:
    """A line with spaces for code: from a run of backticks to the next one of the same length."""
    parts = re.split("(`+)", line)  # texts, and at the odd places runs
    last = {run: place for place, run in enumerate(parts) if place % 2}
    place = 1
    while place < len(parts):
        if last[parts[place]] > place:  # otherwise no run closes it
            end = parts.index(parts[place], place + 1)
            parts[place : end + 1] = [" " * len(part) for part in parts[place : end + 1]]
            place = end
        place += 2
    return "".join(parts)


def _without_punctuation(url: str) -> str:
    """A bare URL without the punctuation of its sentence, and without a bracket that it does not open."""
    end, unopened = len(url), url.count(")") - url.count("(")
    while end and (url[end - 1] in PUNCTUATION or (url[end - 1] == ")" and unopened > 0)):
        unopened -= url[end - 1] == ")"
        end -= 1
    return url[:end]


def is_example(url: str) -> bool:
    """Whether a URL in a text, in the usual notation, stands for the reader's own machine or for any host."""
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
        return bool(EXAMPLE.search(host)) or not ip_address(host).is_global
    except ValueError:
        return False


def parse(url: str) -> SplitResult:
    """Parse a URL as browsers do: the host is decoded and normalised; user and password are dropped."""
    try:
        parts = urlsplit(url.strip())
        host, port = unquote(parts.hostname or ""), parts.port
        # Nameprep makes ASCII digits and dots of full-width ones.
        host = (host if ":" in host else host.encode("idna").decode()).lower().rstrip(".")
    except ValueError as error:  # and UnicodeError: a wrong port, a label that is empty or too long
        raise DeadLinkError("the URL is not valid") from error
    if parts.scheme not in PORTS or (port is not None and port < 1024 and port not in PORTS.values()):
        raise ValueError("another protocol")  # it is not requested
    if not re.fullmatch(r"[\w.:%-]+", host, re.ASCII):
        raise DeadLinkError("the URL is not valid")
    path, query = (quote(part, safe="%/:=&?~+!$,;'@()*[]") for part in (parts.path or "/", parts.query))
    netloc = f"[{host}]" if ":" in host else host
    netloc += "" if port in (None, PORTS[parts.scheme]) else f":{port}"
    return SplitResult(parts.scheme, netloc, path, query, "")


def is_public(address: str) -> bool:
    """Whether an address, in the notation of a resolver, belongs to a host of the public internet."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed not in UNICAST:
        return False
    return parsed.is_global and not parsed.is_multicast and not any(parsed in network for network in SPECIAL)


def resolve(host: str, port: int) -> Sequence[str]:
    """The addresses of a name, or of any notation of an address."""
    try:
        return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except socket.gaierror as error:
        if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA):
            raise DeadLinkError("its host does not exist") from error
        raise


class Check:
    """The requests of one event. A host gets one request at a time, and none after it has answered 429."""

    def __init__(self) -> None:
        self._dead: dict[str, str] = {}
        self._open: set[HTTPConnection] = set()
        self._is_over = Event()

    def dead_among(self, urls: Iterable[str]) -> dict[str, str]:
        """The dead links, with their reasons."""
        hosts: dict[str, list[str]] = defaultdict(list)
        for url in urls:
            hosts[re.split("[/?#]", url.partition("://")[2])[0].casefold()].append(url)
        pool = ThreadPoolExecutor(THREADS)
        done, _ = wait([pool.submit(self._visit, each) for each in hosts.values()], timeout=CHECK_SECONDS)
        self._is_over.set()
        pool.shutdown(wait=False, cancel_futures=True)
        for connection in tuple(self._open):  # a server that never ends its answer would hold a thread
            with suppress(AttributeError, OSError):  # it is closed, or not open yet
                connection.sock.shutdown(socket.SHUT_RDWR)
        for visit in done:
            visit.result()  # raises an unforeseen error
        return dict(self._dead)

    def _visit(self, urls: Sequence[str]) -> None:
        for url in urls:
            if self._is_over.is_set():
                return
            try:
                if self._open_page(parse(url)) == 429:
                    return  # the host refuses further requests now
            except DeadLinkError as error:
                self._dead[url] = str(error)
            except (HTTPError, HTTPException, OSError, ValueError) as error:
                if isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in BAD_CERTIFICATES:
                    self._dead[url] = "its certificate is not valid"

    def _open_page(self, url: SplitResult, redirects: int = MAX_REDIRECTS) -> int:
        """The status of the answer, after redirects within the site."""
        status, location = self._request(url)
        if status in (404, 410):
            raise DeadLinkError(str(status))
        if not (300 <= status < 400 and location and redirects):
            return status
        target = parse(urljoin(url.geturl(), location))
        if str(target.hostname).removeprefix("www.") != str(url.hostname).removeprefix("www."):
            raise DeadLinkError(f"it redirects to {target.hostname}")
        return self._open_page(target, redirects - 1)

    def _request(self, url: SplitResult) -> tuple[int, str]:
        # The name is resolved once. The connection goes to an address that was found public, and the name is
        # only in TLS and in the header `Host`: a second answer of the name server leads nowhere.
        host, port = str(url.hostname), url.port or PORTS[url.scheme]
        if not (public := [each for each in resolve(host, port) if is_public(each)]):
            raise DeadLinkError("its address is not public")
        first = min(public, key=lambda each: ":" in each)  # IPv4, if there is one
        connection = HTTPConnection(first, port, timeout=SECONDS)
        if url.scheme == "https":
            connection = HTTPSConnection(first, port, timeout=SECONDS, ssl_context=TLS, server_hostname=host)
        self._open.add(connection)
        headers = {"Host": url.netloc, "User-Agent": "Mozilla/5.0 (compatible; link-check)"}
        path = url.path + (f"?{url.query}" if url.query else "")
        with closing(connection):
            connection.request("GET", path, headers=headers, preload_content=False)
            answer = connection.getresponse()
        location = answer.headers.get("Location", "")  # decoded as Latin-1; it may be UTF-8
        return answer.status, location.encode("latin-1").decode("utf-8", "replace")
