"""The evidence of the oracle: snapshots of a task, from its tables and the bucket; the log of actions."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import text

from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.contracts.payloads import FinalizeResult

PRODUCT_TYPES = ("tutorial", "resources", "quiz")
"""The content types of the product. The expectations of them do not depend on the registry."""

TYPES = (*PRODUCT_TYPES, *(str(kind) for kind in CONTENT_KINDS if kind not in PRODUCT_TYPES))

TABLES = {kind: (found.table, found.id_field) for kind, found in CONTENT_KINDS.items()} | {
    "tutorial": ("tutorial_metadata", "tutorial_id"),
    "resources": ("resource_recommendation_metadata", "id"),
    "quiz": ("quiz_metadata", "quiz_id"),
}

OURS = {kind: tuple(found.project(None)) for kind, found in CONTENT_KINDS.items()} | {
    "tutorial": ("content_status", "tutorial_id", "content_ref", "content_version", "content_summary"),
    "resources": ("resources_status", "resources_id", "resources_count"),
    "quiz": ("quiz_status", "quiz_id", "quiz_questions_count"),
}
"""The fields of a concept that are projected from the tables. The first is the status, the second the id."""

DELETED = "t-deleted"
"""A task that the product may delete at any time."""

_OTHERS = {
    "roadmap_tasks": f"task_id NOT IN (:task_id, '{DELETED}')",
    "content_failures": "task_id <> :task_id",
    "roadmap_metadata": "roadmap_id <> :roadmap_id",
    **{table: "roadmap_id <> :roadmap_id" for table, _ in TABLES.values()},
}


def _with_revision(table: str, key: str) -> str:
    """The rows of a roadmap with their revision: the id of the content that replaced a row in place, or its
    own.
    """
    return f"""SELECT r.*, coalesce((SELECT replaced_by FROM content_archive a WHERE source_table = '{table}'
        AND row_id = r.{key} AND replaced_by IS NOT NULL ORDER BY archive_id DESC LIMIT 1), {key}) AS revision
        FROM {table} r WHERE roadmap_id = :roadmap_id"""


def _looking_at(others: Mapping[str, str]) -> str:
    """A statement that reads a task and its roadmap, and the rows of other tasks in all tables."""
    return f"""
SELECT json_build_object(
    'task', (SELECT row_to_json(t) FROM roadmap_tasks t WHERE task_id = :task_id),
    'framework', (SELECT CAST(framework_data AS text) FROM roadmap_metadata WHERE roadmap_id = :roadmap_id),
    {
        "".join(
            f"'{kind}', (SELECT coalesce(json_agg(t), '[]') FROM ({_with_revision(table, key)}) t),"
            for kind, (table, key) in TABLES.items()
        )
    }
    'archive', (SELECT coalesce(json_agg(source_row), '[]') FROM content_archive
        WHERE CAST(source_row->'roadmap_id' AS text) = CAST(to_json(CAST(:roadmap_id AS text)) AS text)),
    'failures', (SELECT coalesce(json_agg(t ORDER BY attempt), '[]') FROM content_failures t
        WHERE task_id = :task_id),
    'attempts', (SELECT coalesce(json_agg(t ORDER BY attempt), '[]') FROM content_attempts t
        WHERE task_id = :task_id),
    'queue', (SELECT coalesce(json_agg(t ORDER BY attempt), '[]') FROM content_queue t
        WHERE task_id = :task_id),
    'admitted', (SELECT coalesce(json_agg(t ORDER BY admitted_at, task_id), '[]') FROM content_queue t
        WHERE state IN ('starting', 'redriving', 'running') AND t.attempt = (
            SELECT r.attempt FROM roadmap_tasks r WHERE r.task_id = t.task_id)),
    'capacity', (SELECT row_to_json(t) FROM content_capacity t),
    'least_charged', (SELECT min(virtual_time) FROM content_queue_keys),
    'recoveries', (SELECT coalesce(json_agg(t ORDER BY r.recovery_id), '[]')
        FROM content_recovery_tasks r CROSS JOIN LATERAL (
            SELECT r.*, c.state, c.ended_at AS recovery_ended_at FROM content_recoveries c
            WHERE c.recovery_id = r.recovery_id) AS t
        WHERE r.task_id IN (:task_id, '{DELETED}')),
    'events', (SELECT coalesce(json_agg(t ORDER BY position), '[]') FROM content_events t
        WHERE task_id IS NULL OR task_id IN (:task_id, '{DELETED}')),
    'current_failures', (SELECT coalesce(sum(items), 0) FROM content_task_failures WHERE task_id = :task_id),
    'others', json_build_object({
        ",".join(
            f"'{table}', (SELECT coalesce(json_agg(CAST(row_to_json(t) AS text)), '[]') FROM {table} t "
            f"WHERE {theirs})"
            for table, theirs in others.items()
        )
    })
)
"""


LOOK = _looking_at(_OTHERS)
LOOK_AT_ONE_OF_MANY = _looking_at({})
"""The statement without the rows of other tasks, for many tasks that change concurrently."""

HAS_CONCEPT_METADATA = text("SELECT to_regclass('concept_metadata') IS NOT NULL")

CONCEPT_METADATA = text("""
SELECT coalesce(json_agg(t), '[]') FROM concept_metadata t WHERE roadmap_id = :roadmap_id
""")

OTHER_CONCEPT_METADATA = text("""
SELECT coalesce(json_agg(CAST(row_to_json(t) AS text)), '[]') FROM concept_metadata t
WHERE roadmap_id <> :roadmap_id
""")

Item = tuple[str, str]
"""(concept_id, content type)."""

Row = dict[str, Any]


@dataclass
class Log:
    """The actions on the system that are not in the tables."""

    injected: list[str] = field(default_factory=list)
    """Every fault and every step, in order. Printed with broken invariants."""

    generated: list[Item] = field(default_factory=list)
    """Every call of the generator."""

    generated_late: list[Item] = field(default_factory=list)
    """Items that were generated for an ended attempt, or for another execution's."""

    unstaged: Counter[Item] = field(default_factory=Counter)
    """How often an injected fault removed or damaged an item's staged content, or lost its answer before."""

    restored: set[Item] = field(default_factory=set)
    """The items of which a user has restored a revision."""

    rewritten: set[str] = field(default_factory=set)
    """The concepts with rows that the product writes at the same time."""

    live: dict[str, int] = field(default_factory=dict)
    """The running executions that have an attempt, with it."""

    recorded: set[int] = field(default_factory=set)
    """The attempts with a recorded outcome."""

    delivered: list[str] = field(default_factory=list)
    """The ids of the events that the bus has received."""

    framework: Row | None = None
    """`framework_data` as the product wrote it last; initially, as in the bundle."""

    def note_outcome(self, result: FinalizeResult) -> None:
        """Note that an attempt's outcome is recorded. Without a readable framework, it names no item."""
        if result.attempt is not None and (result.complete or any(result.missing.values())):
            self.recorded.add(result.attempt)


class TaskSnapshot(NamedTuple):
    """A snapshot of a task and everything that belongs to it."""

    task: Row
    framework: Row
    concepts: dict[str, Row]
    rows: dict[str, list[Row]]
    archive: list[Row]
    """The former content of rows that were replaced or removed."""

    failures: list[Row]
    attempts: list[Row]
    current_failures: int
    recoveries: list[Row]
    """The tasks of all recoveries, each with the recovery's state."""

    queue: list[Row]
    """The task's entries in the queue."""

    admitted: list[Row]
    """The entries of all tasks that count against the capacity, in the order of their admission."""

    capacity: Row
    least_charged: float | None
    """The smallest counter of a user or tenant."""

    events: list[Row]
    objects: dict[str, str]
    """The objects in the bucket: digest by key."""

    others: dict[str, list[str]]
    """The rows that do not belong to this task or its roadmap, by table."""

    concept_metadata: list[Row] | None
    """The product's rows of the roadmap's concepts; `None` if the database has no such table."""

    def items(self) -> list[Item]:
        """All items of the roadmap, in framework order."""
        return [(concept_id, kind) for concept_id in self.concepts for kind in TYPES]

    def completed(self, kind: str) -> dict[str, Row]:
        rows = sorted(
            (row for row in self.rows[kind] if kind != "tutorial" or row["content_status"] == "completed"),
            key=lambda row: row.get("content_version", 0),
        )
        return {row["concept_id"]: row for row in rows}

    def is_cancelled(self, attempt: int) -> bool:
        """Whether an attempt was cancelled: items that it neither saved nor failed were not started."""
        return any(row["attempt"] == attempt and row["outcome"] == "cancelled" for row in self.attempts)

    def missing(self) -> list[Item]:
        """The items without a completed row, in framework order."""
        completed = {kind: self.completed(kind).keys() for kind in TYPES}
        return [(concept_id, kind) for concept_id, kind in self.items() if concept_id not in completed[kind]]

    def replaced(self, attempts: Iterable[Row] | None = None) -> dict[Item, set[str]]:
        """The revisions that attempts were to replace, by item; by default, of all attempts."""
        found: dict[Item, set[str]] = {}
        for row in self.attempts if attempts is None else attempts:
            for kind, ids in (row["replaces"] or {}).items():
                for concept_id, revision in ids.items():
                    found.setdefault((concept_id, kind), set()).add(revision)
        return found

    def not_replaced(self, attempt: int) -> set[Item]:
        """The items that an attempt was to replace and that still have the same revision."""
        completed = {kind: self.completed(kind) for kind in TYPES}
        return {
            (concept_id, kind)
            for (concept_id, kind), ids in self.replaced(
                row for row in self.attempts if row["attempt"] == attempt
            ).items()
            if concept_id in completed[kind] and completed[kind][concept_id]["revision"] in ids
        }
