"""The tables that only the product reads: `concept_metadata` and `execution_logs`.

Its pages and its own retry read `concept_metadata`, a projection of the content tables, before
`framework_data`. `execution_logs` is the source of its task page. Older databases do not have them.
"""

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from ..contracts.documents import storable_json
from ..contracts.items import ContentType
from ..platform.postgres.transactions import isolated
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

# An unreplaced item keeps its time.
_KEPT = {
    f"{content_type}_completed_at": (
        f"CASE WHEN known.{content_type}_id = projected.{content_type}_id AND "
        f"known.{content_type}_status = 'completed' AND known.{content_type}_completed_at IS NOT NULL "
        f"THEN known.{content_type}_completed_at ELSE projected.{content_type}_completed_at END"
    )
    for content_type in PRODUCT_TYPES
} | {
    "all_content_completed_at": (
        "CASE WHEN known.overall_status = 'completed' AND projected.overall_status = 'completed' AND "
        "known.all_content_completed_at IS NOT NULL "
        "THEN known.all_content_completed_at ELSE projected.all_content_completed_at END"
    )
}
_VALUES = [_KEPT.get(column, f"projected.{column}") for column in _COLUMNS]

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

# Not one statement with the UPDATE: an INSERT with ON CONFLICT checks a NOT NULL column that the product has
# added also for rows that exist.
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
    if updated.some_are_absent:
        with isolated(connection, "concept_metadata_refused", always=True, roadmap_id=roadmap_id):
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


_IDS = uuid.UUID("b8d2a0c4-9f51-5d55-9b0c-6f0d1f6a2e11")

LOG_EXISTS = text("SELECT to_regclass('execution_logs') IS NOT NULL")

INSERT_LOGS = text("""
INSERT INTO execution_logs (id, task_id, roadmap_id, concept_id, level, category, step, agent_name, message,
    details, created_at)
SELECT id, task_id, roadmap_id, concept_id, level, 'workflow', 'content_generation', 'roadmap-content',
    message, details, content_now()
FROM json_populate_recordset(CAST(NULL AS execution_logs), CAST(:rows AS json)) ON CONFLICT (id) DO NOTHING
""")


class LogEntry(NamedTuple):
    """A row of `execution_logs`, with its attempt. An entry that is recorded twice is stored once."""

    log_type: str
    task_id: str
    roadmap_id: str | None
    attempt: int
    message: str
    level: str = "info"
    concept_id: str | None = None
    details: dict[str, Any] | None = None

    @property
    def row(self) -> dict[str, Any]:
        identity = [self.log_type, self.task_id, self.attempt, self.concept_id]
        return {
            "id": str(uuid.uuid5(_IDS, json.dumps(identity))),
            "task_id": self.task_id,
            "roadmap_id": self.roadmap_id,
            "concept_id": self.concept_id,
            "level": self.level,
            "message": self.message,
            "details": {"log_type": self.log_type, "attempt": self.attempt} | (self.details or {}),
        }


def log_exists(connection: Connection) -> bool:
    """Whether the product's log exists."""
    return bool(connection.scalar(LOG_EXISTS))


def write_log(connection: Connection, entries: Sequence[LogEntry]) -> None:
    """Write entries, last in their transaction. Entries that the table refuses, also because it does not
    exist any more, are left out, so that the rest is kept.
    """
    if not entries:
        return
    with isolated(connection, "execution_logs_refused", always=True):
        connection.execute(INSERT_LOGS, {"rows": storable_json([entry.row for entry in entries])})


def concept_completed_entry(
    task_id: str, roadmap_id: str | None, attempt: int, concept_id: str, name: str, completed: Sequence[str]
) -> LogEntry:
    """A concept has all of its content."""
    details = {"concept_id": concept_id, "concept_name": name, "completed_content": list(completed)}
    message = f"Content completed: {name}"
    return LogEntry("concept_completed", task_id, roadmap_id, attempt, message, "info", concept_id, details)


def concept_failed_entry(
    task_id: str, roadmap_id: str | None, attempt: int, concept_id: str, items: Sequence[dict[str, Any]]
) -> LogEntry:
    """An attempt ended, and a part of a concept's content is missing or was not replaced."""
    details = {"concept_id": concept_id, "items": list(items)}
    message = f"Content missing: {', '.join(str(item['content_type']) for item in items)}"
    return LogEntry(
        "content_generation_failed", task_id, roadmap_id, attempt, message, "error", concept_id, details
    )


def task_finished_entry(
    task_id: str,
    roadmap_id: str | None,
    attempt: int,
    status: str,
    message: str | None,
    statistics: Mapping[str, int],
) -> LogEntry:
    """An attempt's outcome has been recorded. The card of the product's page links to the roadmap, and has
    the statistics, if they are known.
    """
    details: dict[str, Any] = {"status": status, "statistics": dict(statistics), "next_actions": []}
    if roadmap_id is not None:
        page = f"/roadmap/{roadmap_id}"
        view = {"action": "view_roadmap", "label": "View Roadmap", "url": page, "primary": True}
        details |= {"roadmap_id": roadmap_id, "roadmap_url": page, "next_actions": [view]}
    level = "info" if status == "completed" else "warning"
    shown = message or "All content is complete"
    return LogEntry("task_completed", task_id, roadmap_id, attempt, shown, level, details=details)
