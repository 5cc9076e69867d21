"""Faults that a careful reader sees in a list of resources without opening one."""

import re
from collections.abc import Iterator
from urllib.parse import parse_qsl, urlencode, urlsplit

from roadmap_content.contracts.documents import Document

from . import Finding

MIN_RESOURCES = 3

_EXAMPLE = re.compile(r"(?:^|\.)example(?:\.(?:com|net|org|edu))?$|\.(?:test|invalid)$")
"""Hosts that are reserved for documentation and tests (RFC 2606)."""


def find(content: Document, _language: str) -> Iterator[Finding]:
    """Findings of a list of resources, each with the path of a resource."""
    resources: list[Document] = content.get("resources", [])
    if len(resources) < MIN_RESOURCES:
        yield Finding("too-few", "resources", f"There are {len(resources)}, fewer than {MIN_RESOURCES}")
    seen: dict[str, int] = {}
    for index, resource in enumerate(resources):
        place, url, title = f"resources[{index}]", resource["url"], resource["title"]
        page = _page(url)
        if page in seen:
            yield Finding("repeated-url", f"{place}.url", f"It is the page of resources[{seen[page]}]")
        seen.setdefault(page, index)
        if _EXAMPLE.search(page.partition("/")[0]):
            yield Finding("example-url", f"{place}.url", "The address is one for examples")
        if not url.casefold().startswith("https://"):
            yield Finding("insecure-url", f"{place}.url", "The address does not begin with https://")
        if title.strip().casefold().startswith(("http://", "https://", "www.")):
            yield Finding("title-is-url", f"{place}.title", "The title is an address")


def _page(url: str) -> str:
    """A URL without scheme, `www.`, closing slash and campaign parameters, which do not select the page."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    query = [(name, value) for name, value in parse_qsl(parts.query) if not name.startswith(("utm_", "WT."))]
    host = parts.netloc.casefold().removeprefix("www.")
    return f"{host}{parts.path.rstrip('/')}?{urlencode(query)}#{parts.fragment}"
