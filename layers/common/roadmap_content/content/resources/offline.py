"""List resources without a model: searches for the concept's name."""

from urllib.parse import quote

from ..generation.offline import Outline
from . import ResourceDraft, ResourcesDraft

MAX_QUERY = 100

_ENGLISH = (
    ("Wikipedia: {query}", "https://en.wikipedia.org/w/index.php?search={query}"),
    ("GitHub: {query}", "https://github.com/search?type=repositories&q={query}"),
)
_CHINESE = (
    ("维基百科：{query}", "https://zh.wikipedia.org/w/index.php?search={query}"),
    ("GitHub：{query}", "https://github.com/search?type=repositories&q={query}"),
)
"""The title and the address of each search."""


def draft(outline: Outline) -> ResourcesDraft:
    """List the searches for the outline's name."""
    query = outline.name[:MAX_QUERY].strip()
    sites, description = (
        (_CHINESE, "搜索“{name}”。") if outline.language == "zh" else (_ENGLISH, "A search for {name}.")
    )
    resources = [
        ResourceDraft(
            title=title.format(query=query),
            url=address.format(query=quote(query, safe="")),
            type="article",
            description=description.format(name=outline.name),
            relevance_score=round(0.9 - rank / 10, 2),
            language=outline.language,
        )
        for rank, (title, address) in enumerate(sites)
    ]
    return ResourcesDraft(resources=resources, search_queries_used=[query])
