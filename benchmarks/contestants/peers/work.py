"""The work of every peer: generate an item, which is paid for, and save its row.

Used by scripts that run in separate environments; needs only psycopg and this file's folder.
"""

import json
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import psycopg

ROADMAP = "benchmarked-9b2c8d4e"

# Idempotent per row: a row of the same item is kept, an id of another item is refused.
SAVE = {
    "tutorial": """
INSERT INTO tutorial_metadata AS t (tutorial_id, concept_id, roadmap_id, title, summary, content_url,
    content_status, content_version, is_latest, estimated_completion_time, generated_at)
VALUES (%(tutorial_id)s, %(concept_id)s, %(roadmap_id)s, %(title)s, %(summary)s, %(content_url)s,
    'completed', 1, true, %(estimated_completion_time)s, timezone('utc', now()))
ON CONFLICT (tutorial_id) DO UPDATE SET title = t.title
WHERE (t.roadmap_id, t.concept_id) = (excluded.roadmap_id, excluded.concept_id)
RETURNING 1
""",
    "resources": """
INSERT INTO resource_recommendation_metadata AS r (id, concept_id, roadmap_id, resources, resources_count,
    search_queries_used, generated_at)
VALUES (%(id)s, %(concept_id)s, %(roadmap_id)s, %(document)s, %(resources_count)s, '[]',
    timezone('utc', now()))
ON CONFLICT (id) DO UPDATE SET resources_count = r.resources_count
WHERE (r.roadmap_id, r.concept_id) = (excluded.roadmap_id, excluded.concept_id)
RETURNING 1
""",
    "quiz": """
INSERT INTO quiz_metadata AS q (quiz_id, concept_id, roadmap_id, questions, total_questions, easy_count,
    medium_count, hard_count, generated_at)
VALUES (%(quiz_id)s, %(concept_id)s, %(roadmap_id)s, %(document)s, %(total_questions)s, 2, 2, 2,
    timezone('utc', now()))
ON CONFLICT (quiz_id) DO UPDATE SET total_questions = q.total_questions
WHERE (q.roadmap_id, q.concept_id) = (excluded.roadmap_id, excluded.concept_id)
RETURNING 1
""",
}


class IdTakenError(Exception):
    """The id of a row belongs to another item, so a retry fails again."""


class Item(NamedTuple):
    """One item and its generated row."""

    key: str
    content_type: str
    row: dict[str, Any]


class Job:
    """The input of a script: a JSON file with the database, the items and the fault."""

    def __init__(self, path: Path) -> None:
        document = json.loads(path.read_text())
        self.database_url: str = document["database_url"]
        self.folder = Path(document["folder"])
        self.form: str = document["form"]
        self.phase: str = document["phase"]
        """`run`; `restart` after a crash; `retry` after a run that is over; `resume` after a run that failed
        half way; of DBOS also `prepare`.
        """
        self.crash_at: int | None = document["crash_at"]
        self.stop_at: int | None = document["stop_at"]
        self.items = [Item(**item) for item in document["items"]]
        self._saved = 0

    def make(self, item: Item) -> dict[str, Any]:
        """Generate an item. Each generation is recorded as paid for, with one line of a file."""
        with (self.folder / "made").open("a") as made:
            made.write(f"{item.key}\n")
        return item.row

    def saved(self, number: int = 1) -> bool:
        """Count committed rows; return whether the process must crash now, once."""
        self._saved += number
        marker = self.folder / "crashed"
        if self.crash_at is None or self._saved < self.crash_at or marker.exists():
            return False
        marker.touch()
        return True

    @property
    def stopped(self) -> bool:
        """Whether enough rows are saved for the run to fail as a whole."""
        return self.stop_at is not None and self.phase == "run" and self._saved >= self.stop_at

    def answer(self, **found: object) -> None:
        """Write the results of the script."""
        (self.folder / "answer.json").write_text(json.dumps(found))


def save(execute: Callable[[str, dict[str, Any]], Any], items: Iterable[Item]) -> None:
    """Save rows with `execute`, in the caller's transaction.

    Raises:
        IdTakenError: a row's id belongs to another item.
    """
    for item in items:
        if not execute(SAVE[item.content_type], {**item.row, "roadmap_id": ROADMAP}):
            raise IdTakenError(item.key)


def save_and_commit(database_url: str, items: list[Item]) -> None:
    """Save rows in one transaction of a new connection."""
    with psycopg.connect(database_url) as connection:
        save(lambda statement, row: connection.execute(statement, row).fetchone(), items)


def batches(items: list[Item], size: int) -> list[list[Item]]:
    """Items in batches of one content type, like ours."""
    by_type: dict[str, list[Item]] = {}
    for item in items:
        by_type.setdefault(item.content_type, []).append(item)
    return [group[i : i + size] for group in by_type.values() for i in range(0, len(group), size)]


def die() -> None:
    """Exit like a killed worker, without any cleanup."""
    sys.stdout.flush()
    os._exit(9)


def job() -> Job:
    """The job of the command line."""
    return Job(Path(sys.argv[1]))
