"""The table `content_saved_checks`: the findings of later checks of saved contents, the last of each item."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from ..contracts.items import ContentType, Failure, Item, Stage
from .kind import ContentKind
from .registry import CONTENT_KINDS
from .remedies import SAVED_AND_REJECTED
from .rows import current_revisions

DAYS = 7
"""An item is not checked again within this time."""
MOST_ITEMS = 50
"""Items of a content type of a roadmap that one check looks at."""

# A sample of the finished tasks of ours of which nothing was checked for that time; of a roadmap's tasks, the
# oldest one. Tasks with findings come first: a page may be back.
DUE = text("""
SELECT task_id, roadmap_id FROM (
    SELECT DISTINCT ON (t.roadmap_id) t.task_id, t.roadmap_id
    FROM roadmap_tasks t JOIN roadmap_metadata r ON r.roadmap_id = t.roadmap_id AND r.user_id = t.user_id
    WHERE t.attempt > 0 AND t.status IN ('completed', 'partial_failure') AND r.deleted_at IS NULL
    ORDER BY t.roadmap_id, t.created_at, t.task_id) AS oldest
LEFT JOIN LATERAL (SELECT max(k.checked_at) AS checked_at, count(k.error_code) AS findings
    FROM content_saved_checks k WHERE k.task_id = oldest.task_id) AS checks ON true
WHERE checked_at IS NULL OR checked_at < timezone('utc', now()) - make_interval(days => :days)
ORDER BY findings > 0 DESC, random() LIMIT :limit
""")


def _contents(kind: ContentKind) -> str:
    content = kind.content_sql.replace(":concept_id", "item.concept_id").replace(":version", "NULL")
    return (
        f"SELECT '{kind.content_type}' AS content_type, item.concept_id, item.revision,"
        f" row_to_json(content) AS content"
        f" FROM (SELECT * FROM ({kind.current_sql}) AS current ORDER BY random() LIMIT :limit) AS item"
        f" CROSS JOIN LATERAL ({content}) AS content"
    )


SAVED = text(" UNION ALL ".join(f"({_contents(kind)})" for kind in CONTENT_KINDS.values()))

RECORD = text("""
INSERT INTO content_saved_checks
    (task_id, content_type, concept_id, content_id, error_code, reason, checked_at)
SELECT :task_id, f.content_type, f.concept_id, f.content_id, f.error_code, f.reason, timezone('utc', now())
FROM json_to_recordset(CAST(:findings AS json)) AS f(
    content_type text, concept_id text, content_id text, error_code text, reason text)
ON CONFLICT (task_id, content_type, concept_id) DO UPDATE SET content_id = excluded.content_id,
    error_code = excluded.error_code, reason = excluded.reason, checked_at = excluded.checked_at
""")

REJECTED = text("""
SELECT content_type, concept_id, content_id, error_code, reason FROM content_saved_checks
WHERE task_id = :task_id AND error_code IS NOT NULL ORDER BY content_type, concept_id
""")


class DueTask(NamedTuple):
    """A task whose saved contents are to be checked."""

    task_id: str
    roadmap_id: str


class SavedContent(NamedTuple):
    """The current content of an item. A tutorial's has the key of its text."""

    item: Item
    content_id: str
    content: dict[str, Any]


class Finding(NamedTuple):
    """The verdict on a saved content; `error_code` is `None` if it was accepted."""

    item: Item
    content_id: str
    error_code: str | None
    reason: str | None


def due_for_check(connection: Connection, limit: int) -> list[DueTask]:
    """A random sample of the tasks whose contents are due."""
    return [DueTask(*row) for row in connection.execute(DUE, {"days": DAYS, "limit": limit})]


def saved_contents(connection: Connection, roadmap_id: str) -> list[SavedContent]:
    """The current contents of a roadmap; of each type, a random sample."""
    rows = connection.execute(SAVED, {"roadmap_id": roadmap_id, "limit": MOST_ITEMS})
    return [
        SavedContent(
            Item(row.concept_id, ContentType(row.content_type)),
            row.revision,
            {name: value for name, value in row.content.items() if name != "generated_at"},
        )
        for row in rows
    ]


def record_findings(connection: Connection, task_id: str, findings: Sequence[Finding]) -> None:
    """Record the findings of a check, in place of the last ones about these items."""
    rows = [finding.item._asdict() | finding._asdict() for finding in sorted(findings)]
    connection.execute(RECORD, {"task_id": task_id, "findings": json.dumps(rows)})


def rejected_since_saved(connection: Connection, task_id: str, roadmap_id: str | None) -> list[Failure]:
    """The items whose current content was rejected by a later check."""
    rejected = {
        Item(row.concept_id, ContentType(row.content_type)): row
        for row in connection.execute(REJECTED, {"task_id": task_id})
    }
    current = current_revisions(connection, roadmap_id or "", rejected)
    return [
        Failure(item, Stage.SAVE, row.error_code, row.reason, transient=False)
        for item, row in rejected.items()
        if current.get(item) == row.content_id
    ]


def saved_code(error_code: str) -> str:
    """The code of a rejection of saved content, so that its failures are a group of their own."""
    return f"{SAVED_AND_REJECTED}{error_code.partition('.')[2]}"
