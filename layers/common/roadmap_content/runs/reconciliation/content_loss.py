"""The brake of the sweep: if several roadmaps have lost all rows of a content type, it changes nothing.

No operation of the product removes all rows of a type and leaves the roadmap. A wrong TRUNCATE, half a
restore or a wrong `search_path` does, for many roadmaps at once. A sweep that believed such a database would
mark the items as failed and delete their texts, and automatic attempts would pay for them again.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from ...content.registry import CONTENT_KINDS
from ...contracts.errors import TransientError
from ...contracts.items import ContentType
from ...platform.postgres.transactions import DataRefusedError, transact
from ...platform.runtime.deadline import Deadline
from ...state.services import Services
from ...state.tasks.task import read_summary
from .checks import IS_CHECKED

SEVERAL = 3
"""Roadmaps. A person may have deleted the rows of fewer."""

SAMPLE = 200
"""Tasks that are looked at."""

SECONDS = 20.0
"""The time limit of the query."""

# Reads the recorded outcomes of the tasks that are checked next, and whether their roadmaps have rows of each
# content type now, by the statement of the type. These tasks are a sample, of one size for any number of
# tasks: those that are due, and then those that changed most recently.
OUTCOMES = text(
    "SELECT t.roadmap_id, CAST(t.execution_summary AS text) AS summary, "
    + ", ".join(
        f"EXISTS ({kind.sql.saved('t.roadmap_id')}) AS {content_type}"
        for content_type, kind in CONTENT_KINDS.items()
    )
    + f""" FROM (SELECT task_id FROM content_checks ORDER BY next_check_at, task_id LIMIT {SAMPLE}) AS c
JOIN roadmap_tasks t USING (task_id) WHERE {IS_CHECKED}"""
)


class SweepHeldError(TransientError, code="SweepHeld"):
    """The sweep changes nothing, because the loss is not believed."""


class RecordedOutcome(NamedTuple):
    """The counts of a task's last outcome, and of its roadmap now."""

    roadmap_id: str
    completed: Mapping[ContentType, int]
    """The number of completed items."""

    has_rows: Mapping[ContentType, bool]


def lost_types(outcomes: Iterable[RecordedOutcome]) -> dict[ContentType, int]:
    """The content types of which several roadmaps have lost all rows, with the number of roadmaps. No I/O."""
    lost: dict[ContentType, set[str]] = defaultdict(set)
    for outcome in outcomes:
        for content_type, completed in outcome.completed.items():
            if completed and not outcome.has_rows[content_type]:
                lost[content_type].add(outcome.roadmap_id)
    return {
        content_type: len(roadmaps) for content_type, roadmaps in lost.items() if len(roadmaps) >= SEVERAL
    }


def read_outcomes(connection: Connection) -> list[RecordedOutcome]:
    """The outcomes of the tasks that are checked next."""
    return [
        RecordedOutcome(
            row["roadmap_id"],
            _completed(read_summary(row["summary"])),
            {content_type: row[content_type] for content_type in ContentType},
        )
        for row in connection.execute(OUTCOMES).mappings()
    ]


def why_held(services: Services, deadline: Deadline) -> SweepHeldError | None:
    """Why a sweep must change nothing: content is lost, or cannot be read. `None` if it may.
    Raises DatabaseUnavailableError.
    """
    try:
        lost = lost_types(transact(services.engine, read_outcomes, deadline.within(SECONDS)))
    except DataRefusedError as error:  # also of a role without the right, or of a table that was changed
        return SweepHeldError(f"{error.code}: {error}")
    if not lost:
        return None
    counts = ", ".join(f"{roadmaps} roadmaps have no {name} any more" for name, roadmaps in lost.items())
    return SweepHeldError(f"{counts}, although their tasks' outcomes count some")


def _completed(summary: Mapping[str, Any]) -> dict[ContentType, int]:
    """The numbers of completed items in an `execution_summary`, where it has them."""
    counts = {content_type: summary.get(content_type) for content_type in ContentType}
    return {
        content_type: completed
        for content_type, count in counts.items()
        if isinstance(count, dict) and isinstance(completed := count.get("completed"), int)
    }
