"""The product's log: the table `execution_logs`, which a product may have."""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from ..contracts.documents import storable_json
from ..contracts.events import AttemptEvents
from ..contracts.items import ContentType
from ..platform.postgres.transactions import undone_alone

_IDS = uuid.UUID("b8d2a0c4-9f51-5d55-9b0c-6f0d1f6a2e11")

LOG_EXISTS = text("SELECT to_regclass('execution_logs') IS NOT NULL")

# Inserts entries with the types of the product's table. The category and the step are words of its log.
INSERT_LOGS = text("""
INSERT INTO execution_logs (id, task_id, roadmap_id, concept_id, level, category, step, agent_name, message,
    details, created_at)
SELECT id, task_id, roadmap_id, concept_id, level, 'workflow', 'content_generation', 'roadmap-content',
    message, details, content_now()
FROM json_populate_recordset(CAST(NULL AS execution_logs), CAST(:rows AS json)) ON CONFLICT (id) DO NOTHING
""")


class LogEntry(NamedTuple):
    """A row of `execution_logs`, with its attempt. An entry that is recorded twice is stored once; a sweep's
    correction of an outcome is another one.
    """

    log_type: str
    task_id: str
    roadmap_id: str | None
    attempt: int
    execution_arn: str | None
    message: str
    level: str = "info"
    concept_id: str | None = None
    details: dict[str, Any] | None = None

    @property
    def row(self) -> dict[str, Any]:
        identity = [self.log_type, self.task_id, self.attempt, self.execution_arn, self.concept_id]
        return {
            "id": str(uuid.uuid5(_IDS, json.dumps([*identity, self.message]))),
            "task_id": self.task_id,
            "roadmap_id": self.roadmap_id,
            "concept_id": self.concept_id,
            "level": self.level,
            "message": self.message,
            "details": {"log_type": self.log_type, "attempt": self.attempt} | (self.details or {}),
        }


def log_exists(connection: Connection) -> bool:
    return bool(connection.scalar(LOG_EXISTS))


def _write(connection: Connection, entries: Sequence[LogEntry]) -> None:
    """Write entries, last in their transaction. Entries that the table refuses, also because it does not
    exist any more, are left out, so that the rest is kept.
    """
    if not entries:
        return
    with undone_alone(connection, "execution_logs_refused", always=True):
        connection.execute(INSERT_LOGS, {"rows": storable_json([entry.row for entry in entries])})


def log_completed(connection: Connection, attempt: AttemptEvents, concepts: Mapping[str, str]) -> None:
    """Write that concepts have all of their content. `concepts`: their names, by id."""
    entries = []
    for concept_id, name in concepts.items():
        details = {"concept_id": concept_id, "concept_name": name, "completed_content": list(ContentType)}
        message = f"Content completed: {name}"
        entries.append(LogEntry("concept_completed", *attempt, message, "info", concept_id, details))
    _write(connection, entries)


def log_outcome(
    connection: Connection,
    attempt: AttemptEvents,
    failed: Sequence[Mapping[str, Any]],
    status: str,
    message: str | None,
    statistics: Mapping[str, int],
) -> None:
    """Write the outcome of an attempt, after the concepts of which a part is missing, or was not replaced.
    The card of the product's page links to the roadmap, and has the statistics, if they are known.
    """
    entries = []
    for concept in failed:
        concept_id, items = concept["concept_id"], list(concept["items"])
        missing = f"Content missing: {', '.join(str(item['content_type']) for item in items)}"
        details = {"concept_id": concept_id, "items": items}
        entries.append(LogEntry("content_generation_failed", *attempt, missing, "error", concept_id, details))
    details = {"status": status, "statistics": dict(statistics), "next_actions": []}
    if attempt.roadmap_id is not None:
        page = f"/roadmap/{attempt.roadmap_id}"
        view = {"action": "view_roadmap", "label": "View Roadmap", "url": page, "primary": True}
        details |= {"roadmap_id": attempt.roadmap_id, "roadmap_url": page, "next_actions": [view]}
    level = "info" if status == "completed" else "warning"
    shown = message or "All content is complete"
    _write(connection, [*entries, LogEntry("task_completed", *attempt, shown, level, details=details)])
