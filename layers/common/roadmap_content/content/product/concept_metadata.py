"""`concept_metadata`: the product's table of each concept's content, a projection of the content tables.

Its pages and its own retry read this table before `framework_data`. Older databases do not have it.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, text

from ...contracts.items import ContentType
from ..kind import Row
from ..registry import CONTENT_KINDS

PRODUCT_TYPES = (ContentType.TUTORIAL, ContentType.RESOURCES, ContentType.QUIZ)
"""The content types with columns in the product's table. Types that are added later have no columns."""

_OF_TYPES = [
    column.format(content_type)
    for content_type in PRODUCT_TYPES
    for column in ("{}_status", "{}_id", "{}_completed_at")
]
_COLUMNS = ["roadmap_id", *_OF_TYPES, "overall_status", "all_content_completed_at"]
_ALL_COLUMNS = {"concept_id", *_COLUMNS, "created_at", "updated_at"}

COLUMNS = text("""
SELECT attname FROM pg_attribute
WHERE attrelid = to_regclass('concept_metadata') AND attnum > 0 AND NOT attisdropped
""")

# Guarantees: each concept's row matches the content tables; a missing row is created; a row that already
# matches is not written, and a row of another roadmap is not changed. The time of an item that was not
# replaced is kept.
_KEPT = {
    f"{content_type}_completed_at": (
        f"CASE WHEN known.{content_type}_id = excluded.{content_type}_id AND "
        f"known.{content_type}_status = 'completed' AND known.{content_type}_completed_at IS NOT NULL "
        f"THEN known.{content_type}_completed_at ELSE excluded.{content_type}_completed_at END"
    )
    for content_type in PRODUCT_TYPES
} | {
    "all_content_completed_at": (
        "CASE WHEN known.overall_status = 'completed' AND excluded.overall_status = 'completed' AND "
        "known.all_content_completed_at IS NOT NULL "
        "THEN known.all_content_completed_at ELSE excluded.all_content_completed_at END"
    )
}
_VALUES = [_KEPT.get(column, f"excluded.{column}") for column in _COLUMNS]
PROJECT = text(f"""
INSERT INTO concept_metadata AS known (concept_id, {", ".join(_COLUMNS)}, created_at, updated_at)
SELECT concept_id, {", ".join(_COLUMNS)}, content_now(), content_now()
FROM json_populate_recordset(CAST(NULL AS concept_metadata), CAST(:rows AS json))
ON CONFLICT (concept_id) DO UPDATE SET
    {", ".join(f"{column} = {value}" for column, value in zip(_COLUMNS, _VALUES, strict=True))},
    updated_at = content_now()
WHERE known.roadmap_id = excluded.roadmap_id
    AND ({", ".join(f"known.{column}" for column in _COLUMNS)})
        IS DISTINCT FROM ({", ".join(_VALUES)})
""")


def has_concept_metadata(connection: Connection) -> bool:
    """Whether the database has the table, with every column that is projected."""
    return set(connection.scalars(COLUMNS)) >= _ALL_COLUMNS


def project_concept_metadata(
    connection: Connection,
    roadmap_id: str,
    concept_ids: Iterable[str],
    current: Mapping[ContentType, Mapping[str, Row]],
) -> int:
    """Project the content tables into `concept_metadata`; return the number of changed rows."""
    rows = [concept_row(roadmap_id, concept_id, current) for concept_id in concept_ids]
    return connection.execute(PROJECT, {"rows": json.dumps(rows)}).rowcount


def concept_row(
    roadmap_id: str, concept_id: str, current: Mapping[ContentType, Mapping[str, Row]]
) -> dict[str, Any]:
    """A concept's row, computed from the current rows of the content tables. Pure."""
    fields: dict[str, Any] = {"concept_id": concept_id, "roadmap_id": roadmap_id}
    completed_at = []
    for content_type in PRODUCT_TYPES:
        row = current[content_type].get(concept_id)
        fields[f"{content_type}_status"] = "failed" if row is None else "completed"
        fields[f"{content_type}_id"] = None if row is None else row[CONTENT_KINDS[content_type].id_field]
        fields[f"{content_type}_completed_at"] = None if row is None else row["generated_at"]
        if row is not None:
            completed_at.append(row["generated_at"])
    complete = len(completed_at) == len(PRODUCT_TYPES)
    fields["overall_status"] = "completed" if complete else "partial_failed"
    fields["all_content_completed_at"] = max(filter(None, completed_at), default=None) if complete else None
    return fields
