"""The check of links: answers, as a check of contents, which items have dead links (docs/generation.md)."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from ...contracts.items import ContentType
from ...contracts.payloads import Payload
from ...platform.runtime.deadline import Deadline
from .content import links_in, without_links
from .judgement import Hosts, Judgement, State, Visit
from .web import Web

THREADS = 32
"""Links that are checked at the same time."""

CHECK_SECONDS = 30.0
"""Seconds for the links of one request. Links that are not checked by then count as live."""

CODE = "DeadLinks"
"""The code of a rejection."""

MAX_LISTED = 400
"""Characters of the dead links in a reason. A reason has at most 500."""

MAX_URL = 200
"""Characters of a URL in a reason."""

Verdict = dict[str, Any]


class CheckedItem(Payload):
    """An item to check."""

    content_type: ContentType
    content: dict[str, Any]


class CheckRequest(Payload):
    """The request of Save to a check of contents."""

    items: Sequence[CheckedItem]
    saved: bool = False
    """Whether the contents are saved: a later check, which corrects nothing."""


class CheckReport(Payload):
    """The verdicts, one per item, and their cost."""

    verdicts: Sequence[Verdict]
    links: Mapping[State, int]
    requests: int
    bytes_read: int


def check_links(request: CheckRequest, web: Web, least_resources: int, deadline: Deadline) -> CheckReport:
    """Check the links of items. Dead ones are removed if enough remain; otherwise the item is rejected."""
    found = [links_in(item.content_type, item.content) for item in request.items]
    judged = judge_all((url for links in found for url in links), web, deadline.within(CHECK_SECONDS))
    verdicts = [
        _verdict(item, {url: judged[url] for url in links}, None if request.saved else least_resources)
        for item, links in zip(request.items, found, strict=True)
    ]
    return CheckReport(
        verdicts=verdicts,
        links={state: sum(each.state is state for each in judged.values()) for state in State},
        requests=sum(each.requests for each in judged.values()),
        bytes_read=sum(each.bytes_read for each in judged.values()),
    )


def judge_all(urls: Iterable[str], web: Web, deadline: Deadline) -> dict[str, Judgement]:
    """Judge links, each once."""
    hosts = Hosts()
    pool = ThreadPoolExecutor(THREADS)
    visits = {
        url: pool.submit(Visit(web, hosts, deadline).judge, url) for url in _by_turns(dict.fromkeys(urls))
    }
    wait(visits.values(), timeout=max(0.0, deadline.remaining))
    # A thread may still wait for the resolver, which has no timeout.
    pool.shutdown(wait=False, cancel_futures=True)
    late = Judgement(State.UNKNOWN, "the time of the check was up", 0, 0)
    return {
        url: visit.result() if visit.done() and not visit.cancelled() else late
        for url, visit in visits.items()
    }


def _by_turns(urls: Iterable[str]) -> list[str]:
    """The first link of each host, then the second ones: so that few threads wait for one host."""
    places: Counter[str] = Counter()
    turns: dict[str, int] = {}
    for url in urls:
        host = url.partition("://")[2].partition("/")[0]
        turns[url] = places[host]
        places[host] += 1
    return sorted(turns, key=turns.__getitem__)


def _verdict(item: CheckedItem, links: Mapping[str, Judgement], least_resources: int | None) -> Verdict:
    """The verdict on an item. Without `least_resources`, nothing is corrected."""
    dead = {url: judgement for url, judgement in links.items() if judgement.state is State.DEAD}
    if not dead:
        return {"verdict": "accept"}
    corrected = None
    if least_resources is not None:
        corrected = without_links(item.content_type, item.content, dead, least_resources)
    if corrected is None:
        return {"verdict": "reject", "code": CODE, "reason": _reason(dead)}
    return {"verdict": "accept", "content": corrected}


def _reason(dead: Mapping[str, Judgement]) -> str:
    """Name the dead links, in quotes: so that the failures of all items form one group."""
    listed = ""
    for number, (url, judgement) in enumerate(dead.items()):
        shown = url[:MAX_URL].replace('"', "%22")
        entry = f"{', ' if number else ''}{shown} ({judgement.reason})"
        if len(listed) + len(entry) > MAX_LISTED:
            return f'dead links: "{listed} and {len(dead) - number} more"'
        listed += entry
    return f'dead links: "{listed}"'
