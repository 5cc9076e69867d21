"""The tables that only the product reads: `concept_metadata` and `execution_logs`.

Its pages and its own retry read `concept_metadata`, a projection of the content tables, before
`framework_data`. `execution_logs` is the source of its task page. Older databases do not have them.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, text

from ..contracts.documents import storable_json
from ..contracts.items import ContentType
from ..platform.postgres.transactions import undone_alone
from .kind import Row, status_field
from .registry import CONTENT_KINDS

PRODUCT = (
    "quiz_attempts",
    "concept_progress",
    "concept_metadata",
    "execution_logs",
    *(kind.table for kind in CONTENT_KINDS.values()),
    "roadmap_tasks",
    "roadmap_metadata",
)
"""The tables of the product, where they exist, in an order in which foreign keys permit to delete rows."""

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

# The SQL of the times: an item that was not replaced keeps its time, in the table's row (`known`).
_KEPT = {
    f"{content_type}_completed_at": (
        f"CASE WHEN known.{content_type}_id = projected.{content_type}_id"
        f" AND known.{content_type}_status = 'completed' "
        f"THEN known.{content_type}_completed_at ELSE projected.{content_type}_completed_at END"
    )
    for content_type in PRODUCT_TYPES
} | {
    "all_content_completed_at": (
        "CASE WHEN known.overall_status = 'completed' AND projected.overall_status = 'completed' "
        "THEN known.all_content_completed_at ELSE projected.all_content_completed_at END"
    )
}
_VALUES = [_KEPT.get(column, f"projected.{column}") for column in _COLUMNS]

# Updates the rows of concepts; returns how many changed, and whether a concept has no row.
# Guarantees: each row that exists matches the content tables; a row that already matches is not written, and
# a row of another roadmap is not changed.
UPDATE = text(f"""
WITH projected AS (
    SELECT * FROM json_populate_recordset(CAST(NULL AS concept_metadata), CAST(:rows AS json))
), updated AS (
    UPDATE concept_metadata AS known SET
        {", ".join(f"{column} = {value}" for column, value in zip(_COLUMNS, _VALUES, strict=True))},
        updated_at = content_now()
    FROM projected
    WHERE known.concept_id = projected.concept_id AND known.roadmap_id = projected.roadmap_id
        AND ({", ".join(f"known.{column}" for column in _COLUMNS)})
            IS DISTINCT FROM ({", ".join(_VALUES)})
    RETURNING known.concept_id
)
SELECT (SELECT count(*) FROM updated) AS rows, EXISTS (
    SELECT FROM projected p WHERE NOT EXISTS (
        SELECT FROM concept_metadata k WHERE k.concept_id = p.concept_id)) AS some_are_absent
""")

# Inserts the rows of concepts that have none. Not one statement with the UPDATE, and not left to ON CONFLICT,
# which is for rows of concurrent transactions: an INSERT checks a NOT NULL column that the product has added
# also for rows that exist.
INSERT = text(f"""
INSERT INTO concept_metadata (concept_id, {", ".join(_COLUMNS)}, created_at, updated_at)
SELECT concept_id, {", ".join(_COLUMNS)}, content_now(), content_now()
FROM json_populate_recordset(CAST(NULL AS concept_metadata), CAST(:rows AS json)) p
WHERE NOT EXISTS (SELECT FROM concept_metadata k WHERE k.concept_id = p.concept_id)
ON CONFLICT (concept_id) DO NOTHING
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
    parameters = {"rows": storable_json(rows)}
    updated = connection.execute(UPDATE, parameters).one()
    changed = int(updated.rows)
    if updated.some_are_absent:  # undone alone, so that the UPDATE remains
        with undone_alone(connection, "concept_metadata_refused", always=True, roadmap_id=roadmap_id):
            changed += connection.execute(INSERT, parameters).rowcount
    return changed


def concept_row(
    roadmap_id: str, concept_id: str, current: Mapping[ContentType, Mapping[str, Row]]
) -> dict[str, Any]:
    """A concept's row, computed from the current rows of the content tables. Pure."""
    rows = {content_type: current[content_type].get(concept_id) for content_type in PRODUCT_TYPES}
    complete = all(row is not None for row in rows.values())
    times = [row["generated_at"] for row in rows.values() if row and row["generated_at"]]
    fields: dict[str, Any] = {
        "concept_id": concept_id,
        "roadmap_id": roadmap_id,
        "overall_status": "completed" if complete else "partial_failed",
        "all_content_completed_at": max(times, default=None) if complete else None,
    }
    for content_type, row in rows.items():
        fields[f"{content_type}_status"] = status_field(row)
        fields[f"{content_type}_id"] = row and row[CONTENT_KINDS[content_type].id_field]
        fields[f"{content_type}_completed_at"] = row and row["generated_at"]
    return fields
