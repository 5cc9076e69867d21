"""The table `roadmap_metadata`: read, lock and update roadmaps."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, text

from ...contracts.errors import RoadmapLockedError, RoadmapNotFoundError
from .framework import Framework, parse_framework

# Locks a roadmap against Save, projections and inserts of the product.
# NO KEY UPDATE instead of UPDATE: foreign keys of concurrent inserts need a KEY SHARE lock on the row.
# A separate statement, so that the next statement's snapshot includes the commit of the previous lock holder.
# The advisory lock is taken first: while waiting for it, no lock is held that the product could wait for.
# Triggers on the content tables take it in shared mode before each insert of the product.
_LOCK = """
WITH guard AS MATERIALIZED (
    SELECT pg_advisory_xact_lock(hashtextextended('content of ' || {roadmap_id}, 0))
)
SELECT 1 FROM guard, roadmap_metadata WHERE roadmap_id = {roadmap_id} FOR NO KEY UPDATE OF roadmap_metadata
"""
LOCK = text(_LOCK.format(roadmap_id="CAST(:roadmap_id AS text)"))
LOCK_OF_TASK = text(
    _LOCK.format(roadmap_id="(SELECT roadmap_id FROM roadmap_tasks WHERE task_id = :task_id)")
)

# Selects a roadmap's owner and state, and its framework unless its version is known.
# `xmin` and `ctid` together differ for every visible version of a row.
READ = text("""
SELECT user_id, deleted_at IS NOT NULL AS deleted, version,
    CASE WHEN version <> :known_version THEN CAST(framework_data AS text) END AS framework_data
FROM roadmap_metadata r, LATERAL (SELECT concat(r.xmin, ' ', r.ctid) AS version) AS v
WHERE roadmap_id = :roadmap_id
""")

# Selects a roadmap with a piece of its framework: `:length` characters after the first `:start` ones.
# `fingerprint` shows whether two are of the same text.
READ_SOURCE = text("""
SELECT user_id, title, total_estimated_hours, recommended_completion_weeks, md5(framework) AS fingerprint,
    length(framework) AS size, substr(framework, :start + 1, :length) AS piece
FROM roadmap_metadata, LATERAL (SELECT coalesce(CAST(framework_data AS text), 'null') AS framework) AS f
WHERE roadmap_id = :roadmap_id AND deleted_at IS NULL
""")

READ_TITLE = text("SELECT title FROM roadmap_metadata WHERE roadmap_id = :roadmap_id")

# Takes the locks of `LOCK` without waiting, if no other session has them and the roadmap exists.
LOCK_AT_ONCE = text("""
WITH guard AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(hashtextextended('content of ' || CAST(:roadmap_id AS text), 0)) AS ours
), held AS (
    SELECT 1 FROM roadmap_metadata, guard
    WHERE roadmap_id = :roadmap_id AND guard.ours FOR NO KEY UPDATE OF roadmap_metadata SKIP LOCKED
)
SELECT EXISTS (SELECT FROM held) AS locked,
    EXISTS (SELECT FROM roadmap_metadata WHERE roadmap_id = :roadmap_id) AS present
""")

WRITE_FRAMEWORK = text("""
UPDATE roadmap_metadata SET framework_data = CAST(:framework_data AS json) WHERE roadmap_id = :roadmap_id
""")


def lock_roadmap_at_once(connection: Connection, roadmap_id: str) -> None:
    """Lock a roadmap, if it exists, like `lock_roadmap`, but without waiting for other sessions.
    Raises RoadmapLockedError: another session holds it.
    """
    held = connection.execute(LOCK_AT_ONCE, {"roadmap_id": roadmap_id}).one()
    if held.present and not held.locked:
        raise RoadmapLockedError(f"another session holds roadmap {roadmap_id!r}")


def lock_roadmap(connection: Connection, roadmap_id: str) -> bool:
    """Lock the roadmap against concurrent saving and projection; `False` if it does not exist."""
    return connection.execute(LOCK, {"roadmap_id": roadmap_id}).first() is not None


def lock_roadmap_of(connection: Connection, task_id: str) -> None:
    """Lock the roadmap of a task, as `lock_roadmap` does."""
    connection.execute(LOCK_OF_TASK, {"task_id": task_id})


def load_framework(connection: Connection, roadmap_id: str | None, user_id: str) -> Framework:
    """Read and check the framework of a user's roadmap.

    Raises:
        RoadmapNotFoundError: it does not exist, is deleted, or belongs to another user.
        InvalidFrameworkError: its framework cannot be read.
    """
    return _framework(_read(connection, roadmap_id, user_id))


def _read(connection: Connection, roadmap_id: str | None, user_id: str, known_version: str = "") -> Row[Any]:
    """The row of a user's roadmap, without `framework_data` if its version is `known_version`."""
    if roadmap_id is None:
        raise RoadmapNotFoundError("the task has no roadmap")
    row = connection.execute(READ, {"roadmap_id": roadmap_id, "known_version": known_version}).one_or_none()
    if row is None or row.user_id != user_id:
        raise RoadmapNotFoundError(f"there is no roadmap {roadmap_id!r} of the task's user")
    if row.deleted:
        raise RoadmapNotFoundError(f"roadmap {roadmap_id!r} is deleted")
    return row


def read_source(connection: Connection, roadmap_id: str | None, start: int, length: int) -> Row[Any]:
    """A roadmap of any user, with a piece of the text of `framework_data`.
    Raises RoadmapNotFoundError: the task has none, or it is deleted.
    """
    piece = {"roadmap_id": roadmap_id, "start": start, "length": length}
    row = connection.execute(READ_SOURCE, piece).one_or_none()
    if row is None:
        raise RoadmapNotFoundError("the task has no roadmap, or it is deleted")
    return row


def read_title(connection: Connection, roadmap_id: str) -> str:
    """The title of a roadmap; empty if it does not exist."""
    return connection.scalar(READ_TITLE, {"roadmap_id": roadmap_id}) or ""


def _framework(row: Row[Any]) -> Framework:
    return parse_framework("null" if row.framework_data is None else row.framework_data)


def write_framework(connection: Connection, roadmap_id: str, framework_data: str) -> None:
    """Write the text of a framework back. The caller must have locked the row before reading it."""
    connection.execute(WRITE_FRAMEWORK, {"roadmap_id": roadmap_id, "framework_data": framework_data})


MAX_CONCEPTS = 100_000
"""Maximum cached concept ids of all roadmaps together. Bounds the memory of a long-lived environment."""


class KnownConcepts(NamedTuple):
    """The concepts of a framework."""

    ids: Sequence[str] = ()
    """In framework order."""

    skipped: Sequence[str] = ()
    """`Framework.skipped`, the first `MOST_SKIPPED`."""


MOST_SKIPPED = 20


class FrameworkCache:
    """Cache of a roadmap's concept ids, keyed by row version. Evicts the least recently used.

    Pages poll a task's status while they wait for content. Reading and parsing `framework_data` would take
    most of the time of such a request, but it changes only by a run or by the product.
    """

    def __init__(self) -> None:
        self._entries: dict[str, tuple[str, KnownConcepts]] = {}
        """`(row version, concepts)` by roadmap, least recently used first."""

    def concepts(self, connection: Connection, roadmap_id: str | None, user_id: str) -> KnownConcepts:
        """The concepts of a user's roadmap.
        Raises RoadmapNotFoundError, InvalidFrameworkError: as `load_framework` does.
        """
        cached_version, concepts = self._entries.pop(roadmap_id or "", ("", KnownConcepts()))
        row = _read(connection, roadmap_id, user_id, cached_version)
        if row.version != cached_version:
            framework = _framework(row)
            concepts = KnownConcepts(tuple(framework.nodes), framework.skipped[:MOST_SKIPPED])
        self._entries[roadmap_id or ""] = row.version, concepts
        while sum(len(cached.ids) for _, cached in self._entries.values()) > MAX_CONCEPTS:
            del self._entries[next(iter(self._entries))]
        return concepts
