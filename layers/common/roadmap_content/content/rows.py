"""Read a roadmap's rows from the content tables, the source of truth for all projections.

All content types are read in one round trip, each as one JSON value: pg8000 needs more time to decode single
rows than PostgreSQL needs for the query.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.sql.elements import TextClause

from ..contracts.items import ContentType, Item
from .kind import ContentKind, Row
from .registry import CONTENT_KINDS


def _for_each_kind(value: str, select: Callable[[ContentKind], str]) -> TextClause:
    """A statement with a row for each content type: its name, and `found`, the JSON array of the expression
    `value` for each row `item` of the type's statement.
    """
    return text(
        " UNION ALL ".join(
            f"SELECT '{content_type}' AS content_type, coalesce(json_agg({value}), '[]') AS found "
            f"FROM ({select(kind)}) AS item"
            for content_type, kind in CONTENT_KINDS.items()
        )
    )


# The concepts with a completed row.
SAVED = _for_each_kind("item.concept_id", lambda kind: kind.sql.saved(":roadmap_id"))
# The current rows.
CURRENT = _for_each_kind("row_to_json(item)", lambda kind: kind.sql.current(":roadmap_id"))


def saved_concepts(connection: Connection, roadmap_id: str) -> dict[ContentType, frozenset[str]]:
    """The concepts that have a completed row, per content type."""
    saved = _found_by_type(connection, SAVED, roadmap_id)
    return {content_type: frozenset(concept_ids) for content_type, concept_ids in saved.items()}


# Of some concepts, those with a row of every content type: one index lookup per item.
COMPLETE = text(
    "SELECT c.concept_id FROM json_array_elements_text(CAST(:concept_ids AS json)) AS c(concept_id) WHERE "
    + " AND ".join(f"EXISTS ({kind.sql.item('c.concept_id')})" for kind in CONTENT_KINDS.values())
)


def complete_concepts(connection: Connection, roadmap_id: str, concept_ids: Sequence[str]) -> Sequence[str]:
    """The concepts of `concept_ids` that have a completed row of every content type."""
    if not concept_ids:
        return []
    parameters = {"roadmap_id": roadmap_id, "concept_ids": json.dumps(concept_ids)}
    return connection.scalars(COMPLETE, parameters).all()


def current_rows(connection: Connection, roadmap_id: str) -> dict[ContentType, dict[str, Row]]:
    """The current row of every completed item, by concept, per content type."""
    return {
        content_type: {row["concept_id"]: row for row in rows}
        for content_type, rows in _found_by_type(connection, CURRENT, roadmap_id).items()
    }


# Of some items, `[concept id, revision]` of the current row, per content type: one index lookup per item.
CURRENT_REVISIONS = text(
    " UNION ALL ".join(
        f"SELECT '{content_type}' AS content_type,"
        f" coalesce(json_agg(json_build_array(c.concept_id, item.revision)), '[]') AS found"
        f" FROM json_array_elements_text(CAST(:{content_type} AS json)) AS c(concept_id)"
        f" CROSS JOIN LATERAL ({kind.sql.item('c.concept_id')}) AS item"
        for content_type, kind in CONTENT_KINDS.items()
    )
)


def current_revisions(connection: Connection, roadmap_id: str, items: Collection[Item]) -> dict[Item, str]:
    """The revisions of the current rows of some items. Items without a row are left out."""
    if not items:
        return {}
    parameters = {"roadmap_id": roadmap_id}
    for content_type in CONTENT_KINDS:
        concept_ids = [item.concept_id for item in items if item.content_type is content_type]
        parameters[str(content_type)] = json.dumps(concept_ids)
    return {
        Item(concept_id, ContentType(row.content_type)): revision
        for row in connection.execute(CURRENT_REVISIONS, parameters)
        for concept_id, revision in row.found
    }


def saved_since(
    connection: Connection, roadmap_id: str, items: Collection[Item], replaces: Mapping[Item, str]
) -> frozenset[Item]:
    """The items that were saved or replaced after a plan that was made for them. `replaces` has the revisions
    at the time of the plan; an item that is not in it had no row.
    """
    return frozenset(
        item
        for item, revision in current_revisions(connection, roadmap_id, items).items()
        if revision != replaces.get(item)
    )


def unreplaced(current: Mapping[ContentType, Mapping[str, Row]], replaces: Mapping[Item, str]) -> list[Item]:
    """The items with a current row that still has the revision to be replaced. No I/O."""
    return [
        item
        for item, revision in replaces.items()
        if (row := current[item.content_type].get(item.concept_id)) and row["revision"] == revision
    ]


def current_row(connection: Connection, roadmap_id: str, item: Item) -> dict[str, Any] | None:
    """The id, revision, version where there is one, and time of generation of an item's completed row."""
    parameters = {"roadmap_id": roadmap_id, "concept_id": item.concept_id}
    return first_row(connection, CONTENT_KINDS[item.content_type].sql.item(":concept_id"), parameters)


def saved_content(
    connection: Connection, roadmap_id: str, item: Item, version: int | None = None
) -> dict[str, Any] | None:
    """The time of generation and the fields of an item's completed row: the current one, or a version's."""
    parameters = {"roadmap_id": roadmap_id, "concept_id": item.concept_id, "version": version}
    return first_row(connection, CONTENT_KINDS[item.content_type].sql.content, parameters)


def first_row(
    connection: Connection, statement: str, parameters: Mapping[str, object]
) -> dict[str, Any] | None:
    """The columns of the first row, by name; `None` if there is no row."""
    row = connection.execute(text(statement), parameters).first()
    return None if row is None else dict(row._mapping)


# Counts current items and refused contents by origin. Reads the whole tables once. An item without an origin
# is older than origins, or the product's own; of several (an undo has found that its content equals a former
# one), the latest counts.
COUNT_ORIGINS = text(
    "WITH current_content AS ("
    + " UNION ALL ".join(
        f"SELECT '{content_type}' AS content_type, item.* FROM ({kind.sql.all_current}) AS item"
        for content_type, kind in CONTENT_KINDS.items()
    )
    + """), found AS (
    (SELECT DISTINCT ON (c.content_type, c.roadmap_id, c.concept_id)
        c.content_type, o.generator, o.model_id, o.prompt_version, 1 AS saved, 0 AS refused
    FROM current_content c LEFT JOIN content_origins o ON o.content_id = c.content_id
        AND o.content_type = c.content_type AND o.roadmap_id = c.roadmap_id AND o.concept_id = c.concept_id
    ORDER BY c.content_type, c.roadmap_id, c.concept_id, o.origin_id DESC)
    UNION ALL
    SELECT content_type, generator, model_id, prompt_version, 0, 1
    FROM content_origins WHERE refused_code IS NOT NULL
)
SELECT generator, model_id, prompt_version, content_type, sum(saved) AS saved, sum(refused) AS refused
FROM found GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
)


def count_origins(connection: Connection) -> Sequence[Any]:
    """The number of current items, and of refused contents, per generator, model, prompt and content type."""
    return connection.execute(COUNT_ORIGINS).all()


MERGE = text("SELECT content_merge_items(:roadmap_id)")


def merge_items(connection: Connection, roadmap_id: str) -> int:
    """Merge rows of resources, and quizzes, of the same concept; return the number of merged rows. Two
    transactions of the product can each insert a row. Its pages expect one.
    """
    return int(connection.scalar(MERGE, {"roadmap_id": roadmap_id}))


def _found_by_type(connection: Connection, statement: TextClause, roadmap_id: str) -> dict[ContentType, Any]:
    """The arrays `found` of a statement of `_for_each_kind`."""
    rows = connection.execute(statement, {"roadmap_id": roadmap_id})
    return {ContentType(row.content_type): row.found for row in rows}
