"""The links in contents, and contents without some of them. No I/O."""

import re
from collections.abc import Collection, Iterator

from ...contracts.documents import Document
from ...contracts.items import ContentType
from .urls import is_example

_FENCE = r"^ {0,3}(?P<fence>`{3,}|~{3,})[^\n]*\n[\s\S]*?(?:^ {0,3}(?P=fence)[`~]*[ \t]*$|\Z)"
_CODE = r"(?<!`)(?P<ticks>`+)(?!`)[^\n]*?(?<!`)(?P=ticks)(?!`)"
_INLINE = (
    r"!?\[(?P<text>[^\[\]\n]*)\]\(\s*<?(?P<url>https?://[^\s<>()]*(?:\([^\s<>()]*\)[^\s<>()]*)*)>?"
    r"(?:\s+(?:\"[^\"\n]*\"|'[^'\n]*'))?\s*\)"
)
_BARE = r"(?P<bare>https?://[^\s<>\"'`\]\\]+)"

# Code is matched first, so that a URL in it is no link.
_MARKDOWN = re.compile(rf"(?:{_FENCE})|(?:{_CODE})|(?:{_INLINE})|(?:{_BARE})", re.MULTILINE)


def links_in(content_type: ContentType, content: Document) -> list[str]:
    """The URLs of an item's content that a learner can follow, once each, in their order."""
    match content_type:
        case ContentType.RESOURCES:
            urls = [resource["url"] for resource in content["resources"]]
        case ContentType.TUTORIAL:
            urls = [url for url in _links_of_text(content["markdown"]) if not is_example(url)]
        case _:
            urls = []
    return list(dict.fromkeys(urls))


def without_links(
    content_type: ContentType, content: Document, dead: Collection[str], least_resources: int
) -> Document | None:
    """The content without dead links; `None` if too little would remain.

    A resource is removed, if at least `least_resources` remain. In a tutorial, a link becomes its text; a
    bare URL cannot be removed from its sentence.
    """
    if content_type is ContentType.RESOURCES:
        kept = [resource for resource in content["resources"] if resource["url"] not in dead]
        return content | {"resources": kept} if len(kept) >= least_resources else None
    text = _MARKDOWN.sub(
        lambda found: found["text"] if found["url"] in dead else found[0], content["markdown"]
    )
    return None if any(url in dead for url in _links_of_text(text)) else content | {"markdown": text}


def _links_of_text(markdown: str) -> Iterator[str]:
    for found in _MARKDOWN.finditer(markdown):
        if url := found["url"] or _without_punctuation(found["bare"] or ""):
            yield url


def _without_punctuation(url: str) -> str:
    """A bare URL without the punctuation of its sentence, and without a bracket that it does not open."""
    url = url.rstrip(".,;:!?*_~，。；：！？、）】》")
    while url.endswith(")") and url.count(")") > url.count("("):
        url = url[:-1].rstrip(".,;:!?")
    return url
