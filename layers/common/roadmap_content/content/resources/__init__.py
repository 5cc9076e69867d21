"""Resources: contract, table `resource_recommendation_metadata`, and fields in `framework_data`."""

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, StringConstraints

from ...contracts.documents import Document
from ...contracts.items import ContentType
from ..kind import (
    DOCUMENT,
    Content,
    ContentId,
    ContentKind,
    Draft,
    Names,
    Row,
    encode,
    repeated,
    status_field,
)
from ..statements import single_row_statements

# Publicly resolvable host names: no IP address, no `localhost`, no single-label name.
_PUBLIC_HOST = re.compile(r"([^\W_]([\w-]*[^\W_])?\.)+([^\W\d_]{2,}|xn--[a-z0-9-]+)")


class Resource(Content):
    """One recommendation. Only the scheme of the URL is checked; the URL is never fetched."""

    title: Annotated[str, StringConstraints(min_length=1)]
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$")]


class Resources(Content):
    """A staged list of resources for a concept."""

    id: ContentId
    resources: list[Resource]
    search_queries_used: list[str]


ResourceType = Literal["article", "video", "book", "course", "documentation", "tool"]
"""The types that the product's pages can show."""


class ResourceDraft(Draft):
    """One recommendation. `relevance_score` is between 0 and 1."""

    title: Annotated[str, StringConstraints(min_length=1)]
    url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$")]
    type: ResourceType
    description: str
    relevance_score: Annotated[float, Field(ge=0, le=1)]
    language: str


class ResourcesDraft(Draft):
    resources: list[ResourceDraft]
    search_queries_used: list[str]

    def fault(self) -> str | None:
        if not self.resources:
            return "resources is empty"
        for index, resource in enumerate(self.resources):
            if fault := _malformed(resource.url):
                return f"resources[{index}].url {fault}"
        return repeated("resources[].url", [resource.url for resource in self.resources])


def _malformed(url: str) -> str | None:
    """Describe a syntax fault of a URL; `None` if there is none. The URL is never fetched."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError for an invalid port
    except ValueError as error:
        return f"is not a URL: {error}"
    if parts.username is not None or parts.password is not None:
        return "holds a user name or a password"
    if not _PUBLIC_HOST.fullmatch(parts.hostname or ""):
        return "does not name a public host"
    return None


def _to_row(_roadmap_id: str, concept_id: str, resources: Document) -> Row:
    return {
        "concept_id": concept_id,
        "id": resources["id"],
        "resources_count": len(resources["resources"]),
        "search_queries_used": resources["search_queries_used"],
        DOCUMENT: encode(resources["resources"]),
    }


def _project(row: Row | None) -> Document:
    return {
        "resources_status": status_field(row),
        "resources_id": row and row["id"],
        "resources_count": row["resources_count"] if row else 0,
    }


KIND = ContentKind(
    content_type=ContentType.RESOURCES,
    names={"en": Names("resource list", "Resource lists", "R"), "zh": Names("资源", "资源", "资")},
    content=Resources,
    draft=ResourcesDraft,
    table="resource_recommendation_metadata",
    id_field="id",
    to_row=_to_row,
    complete=lambda _draft, _version: {},
    project=_project,
    output_share=0.3,
    sql=single_row_statements(
        ContentType.RESOURCES,
        "resource_recommendation_metadata",
        "id",
        document="resources",
        columns={"resources_count": "integer", "search_queries_used": "json"},
        projected="resources_count",
        fields=("id", "resources", "search_queries_used"),
    ),
)
