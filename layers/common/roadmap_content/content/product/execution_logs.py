"""The product's table `execution_logs`, the source of its task page.

Databases without it get no entries. If the table refuses an entry, the entry is left out, so that it does not
fail its transaction.
"""

import json
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from ...platform.postgres.sqlstate import is_transient
from ...platform.postgres.transactions import diagnose
from ...platform.runtime.log import logger

_IDS = uuid.UUID("b8d2a0c4-9f51-5d55-9b0c-6f0d1f6a2e11")

EXISTS = text("SELECT to_regclass('execution_logs') IS NOT NULL")

INSERT = text("""
INSERT INTO execution_logs (id, task_id, roadmap_id, concept_id, level, category, step, agent_name, message,
    details, created_at)
SELECT id, task_id, roadmap_id, concept_id, level, 'workflow', 'content_generation', 'roadmap-content',
    message, details, content_now()
FROM json_populate_recordset(CAST(NULL AS execution_logs), CAST(:rows AS json))
ON CONFLICT (id) DO NOTHING
""")


class LogEntry(NamedTuple):
    """One row, with its attempt. An entry that is recorded twice is stored once."""

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


def has_execution_logs(connection: Connection) -> bool:
    """Whether the database has the table."""
    return bool(connection.scalar(EXISTS))


def write_log(connection: Connection, entries: Sequence[LogEntry]) -> None:
    """Write entries, if the table exists and accepts them."""
    if not entries or not has_execution_logs(connection):
        return
    try:
        with connection.begin_nested():
            connection.execute(INSERT, {"rows": json.dumps([entry.row for entry in entries])})
    except DBAPIError as error:
        sqlstate, message = diagnose(error)
        if is_transient(sqlstate):
            raise
        logger.error("execution_logs_refused", sqlstate=sqlstate, reason=message)


def concept_completed_entry(
    task_id: str, roadmap_id: str, attempt: int, concept_id: str, name: str, completed: Sequence[str]
) -> LogEntry:
    """A concept has all of its content."""
    details = {"concept_id": concept_id, "concept_name": name, "completed_content": list(completed)}
    return LogEntry(
        "concept_completed",
        task_id,
        roadmap_id,
        attempt,
        f"Content completed: {name}",
        concept_id=concept_id,
        details=details,
    )


def concept_failed_entry(
    task_id: str, roadmap_id: str | None, attempt: int, concept_id: str, items: Sequence[dict[str, Any]]
) -> LogEntry:
    """An attempt ended, and a part of a concept's content is missing or was not replaced."""
    return LogEntry(
        "content_generation_failed",
        task_id,
        roadmap_id,
        attempt,
        f"Content missing: {', '.join(str(item['content_type']) for item in items)}",
        level="error",
        concept_id=concept_id,
        details={"concept_id": concept_id, "items": list(items)},
    )


def task_finished_entry(
    task_id: str,
    roadmap_id: str | None,
    attempt: int,
    status: str,
    message: str | None,
    *,
    tutorials: int,
    failed_concepts: int,
) -> LogEntry:
    """An attempt's outcome has been recorded. The card of the product's page links to the roadmap.

    `tutorials` is the number of saved tutorials.
    """
    details: dict[str, Any] = {
        "status": status,
        "statistics": {"tutorials_generated": tutorials, "failed_concepts": failed_concepts},
        "next_actions": [],
    }
    if roadmap_id is not None:
        page = f"/roadmap/{roadmap_id}"
        view = {"action": "view_roadmap", "label": "View Roadmap", "url": page, "primary": True}
        details |= {"roadmap_id": roadmap_id, "roadmap_url": page, "next_actions": [view]}
    return LogEntry(
        "task_completed",
        task_id,
        roadmap_id,
        attempt,
        message or "All content is complete",
        level="info" if status == "completed" else "warning",
        details=details,
    )
