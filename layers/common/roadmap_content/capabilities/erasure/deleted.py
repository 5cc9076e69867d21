"""The tasks and roadmaps that the product has deleted. The attempts that still name them keep the time since
when each is gone; a task or roadmap is *due* when it has been gone for some days and no step can still write
for it. Also: the texts that no row names any more.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, text

from ...contracts.erasure import Removed
from ...state.failures.current import forget_failures
from ...state.failures.groups import FailuresChanged
from ...state.tasks.attempts import lock_attempts
from .attempts import STEP_SECONDS
from .rows import BY_HASH, Subjects, erase_rows, lock_subjects, texts_of_others

# Finds the next tasks with attempts, also those whose row is gone.
PAGE = text("""
SELECT DISTINCT task_id FROM content_attempts WHERE task_id > :after ORDER BY task_id LIMIT :limit
""")

# Notes on each attempt since when its task and its roadmap are gone, where the note differs; returns the
# tasks that are newly noted as gone.
# Guarantees: the days count from the first sweep that missed a task or roadmap, and end when it comes back.
# OFFSET 0: each is looked up by its index, and the tables are not read whole.
MARK = text("""
WITH attempts AS (
    SELECT task_id, attempt, task_gone_since, roadmap_gone_since,
        NOT EXISTS (SELECT FROM roadmap_tasks t WHERE t.task_id = a.task_id OFFSET 0) AS task_gone,
        roadmap_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM roadmap_metadata r WHERE r.roadmap_id = a.roadmap_id OFFSET 0) AS roadmap_gone
    FROM content_attempts a WHERE task_id = ANY(:tasks)
), marked AS (
    UPDATE content_attempts a SET
        task_gone_since = CASE WHEN task_gone
            THEN coalesce(a.task_gone_since, now()) END,
        roadmap_gone_since = CASE WHEN roadmap_gone
            THEN coalesce(a.roadmap_gone_since, now()) END
    FROM attempts f WHERE (a.task_id, a.attempt) = (f.task_id, f.attempt)
        AND (task_gone = (f.task_gone_since IS NULL) OR roadmap_gone = (f.roadmap_gone_since IS NULL))
)
SELECT DISTINCT task_id FROM attempts WHERE task_gone AND task_gone_since IS NULL
""")

# Whether a step of the attempt may still write: one that was sent before its end may run for `:seconds`.
_MAY_WRITE = "coalesce(ended_at > now() - make_interval(secs => :seconds), true)"

# Finds the tasks that are gone for `:days`, or have roadmaps that are, with these roadmaps, unless a step of
# the task may still write; without the roadmaps for which a step of another task may still write. The days
# count from the latest of these absences: `greatest` ignores NULL, the mark of what exists. An index has the
# hashes of roadmaps.
DUE = text(f"""
SELECT a.task_id, bool_and(task_gone_since IS NOT NULL) AS task_gone,
    coalesce(array_agg(DISTINCT roadmap_id) FILTER (WHERE roadmap_gone_since IS NOT NULL AND NOT EXISTS (
        SELECT FROM content_attempts o
        WHERE hashtextextended(o.roadmap_id, 0) = hashtextextended(a.roadmap_id, 0)
            AND o.roadmap_id = a.roadmap_id AND {_MAY_WRITE})), '{{}}') AS roadmaps
FROM content_attempts a WHERE task_id = ANY(:tasks) GROUP BY task_id
HAVING NOT bool_or({_MAY_WRITE}) AND max(greatest(task_gone_since, roadmap_gone_since))
    < now() - make_interval(days => :days)
ORDER BY task_id
""")

# Removes the roadmaps from the attempts that name them, those of other tasks included.
FORGET = text(f"""
UPDATE content_attempts SET roadmap_id = NULL, roadmap_gone_since = NULL
WHERE {BY_HASH}roadmap_id = ANY(:roadmaps)
""")

# Finds the hashes of the texts that the current and the former rows of roadmaps name. A text is named by its
# hash, whatever the form of the URL. Former rows are read as text: JSON may have NUL.
NAMED = text(f"""
SELECT roadmap_id, (regexp_matches(content_url COLLATE "C", '([0-9a-f]{{64}})[.]md', 'g'))[1] AS hash
FROM tutorial_metadata WHERE roadmap_id = ANY(:roadmaps)
UNION SELECT roadmap_id, (regexp_matches(CAST(source_row AS text), '([0-9a-f]{{64}})[.]md', 'g'))[1]
FROM content_archive WHERE {BY_HASH}roadmap_id = ANY(:roadmaps)
""")

# Finds the roadmaps whose texts stay for now: those for which a step may write one before its row, and those
# that are gone, whose texts go with their records (`DUE`).
BUSY = text(f"""
SELECT DISTINCT roadmap_id FROM content_attempts a WHERE {BY_HASH}roadmap_id = ANY(:roadmaps)
    AND ({_MAY_WRITE} OR NOT EXISTS (SELECT FROM roadmap_metadata r WHERE r.roadmap_id = a.roadmap_id))
""")


class DueTask(NamedTuple):
    """A task that is due, or that has roadmaps which are due."""

    task_id: str
    task_gone: bool
    roadmaps: list[str]


def next_tasks(connection: Connection, after: str, limit: int) -> Sequence[str]:
    """The next tasks that have attempts."""
    return connection.scalars(PAGE, {"after": after, "limit": limit}).all()


def note_deleted(
    connection: Connection, hooks: Sequence[FailuresChanged], task_ids: Sequence[str], days: int
) -> list[DueTask]:
    """Note which of the tasks, and of their roadmaps, do not exist; return those that are due after `days`.

    The current failures of tasks that are gone are removed at once.
    """
    newly_gone = connection.scalars(MARK, {"tasks": list(task_ids)}).all()
    forget_failures(connection, hooks, newly_gone)
    parameters = {"tasks": list(task_ids), "days": days, "seconds": STEP_SECONDS}
    return [DueTask(*row) for row in connection.execute(DUE, parameters)]


def subjects_of(due: Sequence[DueTask]) -> Subjects:
    roadmaps = sorted({roadmap_id for task in due for roadmap_id in task.roadmaps})
    return Subjects(roadmaps, [task.task_id for task in due if task.task_gone])


def remove_deleted(
    connection: Connection, hooks: Sequence[FailuresChanged], due: Sequence[DueTask], days: int
) -> Removed:
    """Delete the rows of those of the tasks and their roadmaps that are still due; return the numbers. If the
    product makes a task again now, its first claim waits for the lock of its former attempts.
    """
    lock_subjects(connection, subjects_of(due))
    for task in due:
        lock_attempts(connection, task.task_id)
    still_due = note_deleted(connection, hooks, [task.task_id for task in due], days)
    subjects = subjects_of(still_due)
    connection.execute(FORGET, {"roadmaps": subjects.roadmaps})
    return erase_rows(connection, hooks, subjects, product_rows=False)


def unnamed_texts(
    connection: Connection, texts: Sequence[tuple[str, str]]
) -> tuple[set[tuple[str, str]], Sequence[str]]:
    """The texts, each a roadmap's id and a hash, that no row of their roadmap names, current or former,
    without those of busy roadmaps (`BUSY`). Also the URLs of texts of these roadmaps that rows of other
    roadmaps name: the caller keeps them.
    """
    roadmaps = sorted({roadmap_id for roadmap_id, _ in texts})
    parameters = {"roadmaps": roadmaps, "seconds": STEP_SECONDS}
    # In this order: a row that is saved after NAMED is that of an attempt which BUSY finds.
    named = {(row.roadmap_id, row.hash) for row in connection.execute(NAMED, parameters)}
    busy = set(connection.scalars(BUSY, parameters))
    unnamed = {text for text in texts if text[0] not in busy and text not in named}
    return unnamed, texts_of_others(connection, [roadmap_id for roadmap_id, _ in unnamed])
