"""Is a link dead? Only an answer that every reader gets makes it so: doubt is not death."""

import re
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from http import HTTPStatus
from threading import BoundedSemaphore, Lock
from typing import NamedTuple
from urllib.parse import urlsplit

from ...platform.runtime.deadline import Deadline
from .urls import Address, UncheckedUrlError, UnusableUrlError, parse_url, redirected
from .web import DeadLinkError, DoubtError, Page, Web

MAX_REDIRECTS = 20
"""As in browsers."""

PER_HOST = 2
"""Concurrent requests to a host."""

_GONE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

_NOT_FOUND = re.compile(
    r"\b404\b|not found|(page|site|document|article) (is|was)? ?(missing|gone|unavailable|removed)"
    r"|(does not|doesn.t) exist|no longer (exists|available)|(can.?t|cannot|could ?n.t) (find|be found)"
    r"|nicht gefunden|no encontrada|introuvable|non trouvée|não encontrada|не найдена|見つかりません"
    r"|页面不存在|頁面不存在|找不到|未找到|已(被)?(删除|下线|下架)",
    re.IGNORECASE,
)
_ERROR_PATH = re.compile(r"(^|[/_-])(404|notfound|not[_-]found|error)([/._-]|$)", re.IGNORECASE)


class State(StrEnum):
    """The result of the check of a link."""

    LIVE = "live"
    DEAD = "dead"
    UNKNOWN = "unknown"


class Judgement(NamedTuple):
    """The state of a link, with its cost."""

    state: State
    reason: str
    requests: int
    bytes_read: int


class Hosts:
    """The hosts of one check: few requests at the same time, and none after one that answered 429."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._turns: dict[str, BoundedSemaphore] = {}
        self._tired: set[str] = set()

    @contextmanager
    def turn(self, host: str, deadline: Deadline) -> Iterator[None]:
        """Wait for a turn with a host.

        Raises:
            DoubtError: the host refuses further requests, or the time is up.
        """
        with self._lock:
            turns = self._turns.setdefault(host, BoundedSemaphore(PER_HOST))
        if not turns.acquire(timeout=max(0.0, deadline.remaining)):
            raise DoubtError("the time of the check was up")
        try:
            if host in self._tired:
                raise DoubtError("its host refuses further requests now")
            yield
        finally:
            turns.release()

    def tire(self, host: str) -> None:
        """Send no further request to a host."""
        self._tired.add(host)


class Visit:
    """The requests for one link, and their cost."""

    def __init__(self, web: Web, hosts: Hosts, deadline: Deadline) -> None:
        self._web = web
        self._hosts = hosts
        self._deadline = deadline
        self.requests = 0
        self.bytes_read = 0

    def judge(self, url: str) -> Judgement:
        """Find out whether a link is dead."""
        try:
            self._open(parse_url(url))
            state, reason = State.LIVE, ""
        except (DeadLinkError, UnusableUrlError) as error:
            state, reason = State.DEAD, str(error)
        except (DoubtError, UncheckedUrlError) as error:
            state, reason = State.UNKNOWN, str(error)
        return Judgement(state, reason, self.requests, self.bytes_read)

    def _open(self, address: Address) -> None:
        """Open a page as a reader does; raise the reason if that is impossible or uncertain."""
        end, page = self._follow(address)
        if not _looks_missing(address, end, page):
            return
        # Some sites answer with such a page for every address. Then this one does not exist, either.
        if (impossible := _impossible(address)) is None:
            return
        try:
            other_end, other = self._follow(impossible)
        except DeadLinkError:
            return  # this site says so if a page is missing
        if other_end == end or (other.title and _looks_missing(impossible, other_end, other)):
            raise DeadLinkError("it answers as for pages that do not exist")

    def _follow(self, address: Address) -> tuple[Address, Page]:
        """Follow the redirects from an address to a page."""
        cookies: dict[str, dict[str, str]] = {}
        seen: Counter[tuple[Address, str]] = Counter()
        for _ in range(MAX_REDIRECTS + 1):
            own = cookies.setdefault(address.host, {})
            seen[address, str(own)] += 1
            if seen[address, str(own)] > 1:
                raise DeadLinkError("its redirects lead back to it")
            page = self._get(address, own)
            own.update(page.cookies)
            if page.status not in _REDIRECTS or not page.location:
                _require_ok(page)
                return address, page
            address = redirected(address, page.location)
        raise DeadLinkError("too many redirects")

    def _get(self, address: Address, cookies: dict[str, str]) -> Page:
        with self._hosts.turn(address.host, self._deadline):
            self.requests += 1
            page = self._web.get(address, cookies, self._deadline)
        self.bytes_read += page.bytes_read
        if page.status == HTTPStatus.TOO_MANY_REQUESTS:
            self._hosts.tire(address.host)
        return page


def _require_ok(page: Page) -> None:
    if page.status in _GONE:
        raise DeadLinkError(str(page.status))
    if not HTTPStatus.OK <= page.status < HTTPStatus.MULTIPLE_CHOICES:
        raise DoubtError(f"status {page.status}")


def _looks_missing(asked: Address, end: Address, page: Page) -> bool:
    """Whether a page may be one that a site shows in place of a missing page."""
    if _NOT_FOUND.search(page.title):
        return True
    if end == asked:
        return False
    path = urlsplit(end.path).path
    return bool(_ERROR_PATH.search(path)) or (path == "/" and urlsplit(asked.path).path != "/")


def _impossible(address: Address) -> Address | None:
    """An address beside this one that no site has; `None` for the first page of a site."""
    folder, _, name = urlsplit(address.path).path.rstrip("/").rpartition("/")
    return address._replace(path=f"{folder}/{uuid.uuid4().hex}") if name else None
