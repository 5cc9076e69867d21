"""Resources: contract, table `resource_recommendation_metadata`, and fields in `framework_data`."""

import json
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from ..documents import Document
from ..items import ContentType
from .kind import (
    DOCUMENT,
    Content,
    ContentId,
    ContentKind,
    Draft,
    Row,
    status_field,
)
from .origins import origin_sql
from .revisions import archive_sql, revision_sql, revision_statements


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
    """A list of resources from a generator."""

    resources: list[ResourceDraft]
    search_queries_used: list[str]


# Guarantees: an existing row of a concept is kept; an id that another concept uses is refused, not moved.
# Content that replaces other content is saved only while that is the row's revision, so a repeated or late
# save changes nothing. The row keeps its id, and its former content is archived. A row that the product
# deletes at the same time is not replaced. `OFFSET 0` forces one index lookup per row. Without it, stale
# statistics of a growing roadmap make the planner choose a join that reads all rows of the roadmap for every
# incoming row.
SAVE = f"""
WITH incoming AS (
    SELECT r.*, row_number() OVER (PARTITION BY r.id ORDER BY r.ordinal) AS id_rank
    FROM json_to_recordset(CAST(:rows AS json)) AS r(
        ordinal integer, concept_id text, id text, resources_count integer, search_queries_used json,
        replaces text, origin json)
), checked AS (
    SELECT i.*, mine.id AS row_id, CASE
        WHEN mine.id IS NOT NULL AND mine.revision IS DISTINCT FROM i.replaces THEN 'kept'
        WHEN i.id_rank > 1 OR owner.id IS NOT NULL THEN 'id_taken'
        WHEN mine.id IS NOT NULL THEN 'replaced'
        ELSE 'new'
    END AS row_status
    FROM incoming i
    LEFT JOIN LATERAL (SELECT o.id FROM resource_recommendation_metadata o
        WHERE o.id = i.id OFFSET 0) owner ON true
    LEFT JOIN LATERAL (SELECT m.id, {revision_sql("resource_recommendation_metadata", "m.id")} AS revision
        FROM resource_recommendation_metadata m
        WHERE m.roadmap_id = :roadmap_id AND m.concept_id = i.concept_id
        ORDER BY m.generated_at DESC NULLS LAST, m.id DESC LIMIT 1) mine ON true
), inserted AS (
    INSERT INTO resource_recommendation_metadata
        (id, concept_id, roadmap_id, resources, resources_count, search_queries_used, generated_at)
    SELECT j.id, j.concept_id, :roadmap_id, CAST(d.resources AS json), j.resources_count,
        j.search_queries_used, content_now()
    FROM checked j
    LEFT JOIN string_to_table(CAST(:documents AS text), chr(10)) WITH ORDINALITY AS d(resources, ordinal)
        ON d.ordinal = j.ordinal
    WHERE j.row_status = 'new'
    ON CONFLICT (id) DO NOTHING
    RETURNING concept_id
), locked AS (
    SELECT older, j.ordinal, j.id AS replaced_by
    FROM checked j JOIN resource_recommendation_metadata older ON older.id = j.row_id
    WHERE j.row_status = 'replaced' FOR NO KEY UPDATE OF older
), archived AS (
    {archive_sql("resource_recommendation_metadata", "id")}
), replaced AS (
    UPDATE resource_recommendation_metadata q SET resources = CAST(d.resources AS json),
        resources_count = j.resources_count, search_queries_used = j.search_queries_used,
        generated_at = content_now()
    FROM locked l JOIN checked j ON j.ordinal = l.ordinal
    LEFT JOIN string_to_table(CAST(:documents AS text), chr(10)) WITH ORDINALITY AS d(resources, ordinal)
        ON d.ordinal = j.ordinal
    WHERE q.id = (l.older).id
    RETURNING q.concept_id
), recorded AS (
    {origin_sql(ContentType.RESOURCES, "id", "TABLE inserted UNION ALL TABLE replaced")}
)
SELECT j.concept_id, 'id_taken' AS row_status
FROM checked j
WHERE j.row_status IN ('new', 'id_taken') AND j.concept_id NOT IN (SELECT concept_id FROM inserted)
"""

SAVED = """
SELECT DISTINCT concept_id FROM resource_recommendation_metadata WHERE roadmap_id = :roadmap_id
"""

# The product may have written a second row for the concept: the newest row is current.
CURRENT = f"""
SELECT DISTINCT ON (concept_id) concept_id, id, resources_count, generated_at,
    {revision_sql("resource_recommendation_metadata", "id")} AS revision
FROM resource_recommendation_metadata WHERE roadmap_id = :roadmap_id
ORDER BY concept_id, generated_at DESC NULLS LAST, id DESC
"""

ITEM = f"""
SELECT id, timezone('UTC', timezone(content_time_zone(), generated_at)) AS generated_at,
    {revision_sql("resource_recommendation_metadata", "id")} AS revision
FROM resource_recommendation_metadata
WHERE roadmap_id = :roadmap_id AND concept_id = :concept_id
ORDER BY generated_at DESC NULLS LAST, id DESC LIMIT 1
"""

ALL_CURRENT = f"""
SELECT DISTINCT ON (roadmap_id, concept_id) roadmap_id, concept_id,
    {revision_sql("resource_recommendation_metadata", "id")} AS content_id
FROM resource_recommendation_metadata
ORDER BY roadmap_id, concept_id, generated_at DESC NULLS LAST, id DESC
"""

# The content type has no versions: `:version` is NULL.
CONTENT = """
SELECT id, resources, search_queries_used,
    timezone('UTC', timezone(content_time_zone(), generated_at)) AS generated_at
FROM resource_recommendation_metadata
WHERE roadmap_id = :roadmap_id AND concept_id = :concept_id AND CAST(:version AS integer) IS NULL
ORDER BY generated_at DESC NULLS LAST, id DESC LIMIT 1
"""

REVISIONS = revision_statements(
    "resource_recommendation_metadata",
    "id",
    ("id", "resources", "search_queries_used"),
    size="resources",
)


def _to_row(_roadmap_id: str, concept_id: str, resources: Document) -> Row:
    return {
        "concept_id": concept_id,
        "id": resources["id"],
        "resources_count": len(resources["resources"]),
        "search_queries_used": resources["search_queries_used"],
        DOCUMENT: json.dumps(resources["resources"]),
    }


def _project(row: Row | None) -> Document:
    return {
        "resources_status": status_field(row),
        "resources_id": row and row["id"],
        "resources_count": row["resources_count"] if row else 0,
    }


RESOURCES = ContentKind(
    content_type=ContentType.RESOURCES,
    content=Resources,
    draft=ResourcesDraft,
    id_field="id",
    to_row=_to_row,
    complete=lambda _draft, _version: {},
    publish=None,
    save_sql=SAVE,
    saved_sql=SAVED,
    current_sql=CURRENT,
    item_sql=ITEM,
    all_current_sql=ALL_CURRENT,
    content_sql=CONTENT,
    revisions=REVISIONS,
    stored_text=None,
    versions_sql=None,
    project=_project,
    output_share=0.3,
)
