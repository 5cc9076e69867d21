"""The tables of the product: created if they are missing, otherwise adopted with their rows.

An adopted table keeps its columns, types and constraints; missing columns are added. Rows are repaired
without loss:
- tutorials with the same version get the next free versions, in the order of their generation;
- of a concept's tutorials, only the one with the highest version is the latest;
- of a concept's rows of resources, or of quizzes, the newest stays and the others move to
  `content_archive` with all columns. If another table refers to an older row, the migration fails without a
  change, and the error contains the rows. To restore an archived row: `INSERT INTO quiz_metadata SELECT r.*
  FROM content_archive, json_populate_record(NULL::quiz_metadata, source_row) r WHERE archive_id = …`

No index that is added is unique: the product writes each tutorial as version 1, and may write a second row of
resources or a quiz.
"""

import logging
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text

from migrations import CannotAdoptError

from .triggers import digest

log = logging.getLogger(__name__)

MOST_NAMED = 20
"""Maximum number of rows in an error message."""

COLUMNS: Mapping[str, Mapping[str, str]] = {
    "roadmap_metadata": {
        "roadmap_id": "text PRIMARY KEY",
        "user_id": "varchar(64) NOT NULL",
        "title": "varchar(500) NOT NULL",
        "total_estimated_hours": "double precision",
        "recommended_completion_weeks": "integer",
        "framework_data": "json",
        "created_at": "timestamp NOT NULL DEFAULT timezone('utc', now())",
        "deleted_at": "timestamp",
        "deleted_by": "varchar(64)",
    },
    "roadmap_tasks": {
        "task_id": "varchar(64) PRIMARY KEY",
        "user_id": "varchar(64) NOT NULL",
        "status": "varchar(32) NOT NULL DEFAULT 'pending'",
        "current_step": "varchar(64)",
        "user_request": "json",
        "roadmap_id": "text",
        "created_at": "timestamp NOT NULL DEFAULT timezone('utc', now())",
        "updated_at": "timestamp NOT NULL DEFAULT timezone('utc', now())",
        "completed_at": "timestamp",
        "error_message": "text",
        "failed_concepts": "json",
        "execution_summary": "json",
        "attempt": "integer NOT NULL DEFAULT 0",
        "execution_arn": "text",
    },
    "tutorial_metadata": {
        "tutorial_id": "varchar(64) PRIMARY KEY",
        "concept_id": "text NOT NULL",
        "roadmap_id": "text NOT NULL REFERENCES roadmap_metadata",
        "title": "varchar(500) NOT NULL",
        "summary": "text",
        "content_url": "text",
        "content_status": "varchar(32) NOT NULL DEFAULT 'completed'",
        "content_version": "integer NOT NULL DEFAULT 1",
        "is_latest": "boolean NOT NULL DEFAULT true",
        "estimated_completion_time": "integer",
        "generated_at": "timestamp NOT NULL DEFAULT timezone('utc', now())",
    },
    "resource_recommendation_metadata": {
        "id": "varchar(64) PRIMARY KEY",
        "concept_id": "text NOT NULL",
        "roadmap_id": "text NOT NULL REFERENCES roadmap_metadata",
        "resources": "json NOT NULL",
        "resources_count": "integer NOT NULL DEFAULT 0",
        "search_queries_used": "json",
        "generated_at": "timestamp NOT NULL DEFAULT timezone('utc', now())",
    },
    "quiz_metadata": {
        "quiz_id": "varchar(64) PRIMARY KEY",
        "concept_id": "text NOT NULL",
        "roadmap_id": "text NOT NULL REFERENCES roadmap_metadata",
        "questions": "json NOT NULL",
        "total_questions": "integer NOT NULL DEFAULT 0",
        "easy_count": "integer NOT NULL DEFAULT 0",
        "medium_count": "integer NOT NULL DEFAULT 0",
        "hard_count": "integer NOT NULL DEFAULT 0",
        "generated_at": "timestamp NOT NULL DEFAULT timezone('utc', now())",
    },
}
"""The columns of the product's tables that this system needs, the key first."""

OPTIONAL_COLUMNS: Mapping[str, Sequence[str]] = {
    "concept_metadata": [
        "concept_id", "roadmap_id", "overall_status", "all_content_completed_at", "created_at", "updated_at",
        "tutorial_status", "tutorial_id", "tutorial_completed_at", "quiz_status", "quiz_id",
        "quiz_completed_at", "resources_status", "resources_id", "resources_completed_at",
    ],
    "execution_logs": [
        "id", "task_id", "roadmap_id", "concept_id", "level", "category", "step", "agent_name", "message",
        "details", "created_at",
    ],
    "quiz_attempts": ["quiz_id"],
    "roadmap_tasks": ["celery_task_id"],
}  # fmt: skip
"""The columns that only some databases have. Once seen, they are needed: an absent column is not NULL."""

# Gives the tutorials of a concept different versions. A row keeps its version unless the previous row has
# taken it: the largest lead of a version over its place so far is added to the place. Among rows with the
# same version, the one that readers see now comes last, so that it stays the highest.
RENUMBER_TUTORIALS = """
WITH placed AS (
    SELECT tutorial_id, roadmap_id, concept_id, content_version, row_number() OVER (
        PARTITION BY roadmap_id, concept_id
        ORDER BY content_version, content_status IS NOT DISTINCT FROM 'completed', is_latest IS TRUE,
            generated_at NULLS FIRST, tutorial_id) AS place
    FROM tutorial_metadata
    WHERE roadmap_id IS NOT NULL AND concept_id IS NOT NULL AND content_version IS NOT NULL
), renumbered AS (
    SELECT tutorial_id, place + max(content_version - place) OVER (
        PARTITION BY roadmap_id, concept_id ORDER BY place) AS free_version
    FROM placed
)
UPDATE tutorial_metadata t SET content_version = r.free_version
FROM renumbered r
WHERE t.tutorial_id = r.tutorial_id AND t.content_version <> r.free_version
"""

# Marks of a concept's tutorials only the one with the highest version as the latest, if any is marked. A
# higher version that is only prepared does not become the latest, unless it is already marked.
REPAIR_LATEST = """
WITH latest AS (
    SELECT roadmap_id, concept_id, max(content_version) AS content_version
    FROM tutorial_metadata
    WHERE is_latest OR content_status = 'completed'
    GROUP BY roadmap_id, concept_id
    HAVING bool_or(is_latest)
)
UPDATE tutorial_metadata t SET is_latest = (t.content_version IS NOT DISTINCT FROM l.content_version)
FROM latest l
WHERE t.roadmap_id = l.roadmap_id AND t.concept_id = l.concept_id
    AND t.is_latest IS DISTINCT FROM (t.content_version IS NOT DISTINCT FROM l.content_version)
"""

# The rows of a table by their place among those of their concept, the newest first.
RANKED = """
SELECT {key}, row_number() OVER (
    PARTITION BY roadmap_id, concept_id ORDER BY generated_at DESC NULLS LAST, {key} DESC) AS place
FROM {table}
WHERE roadmap_id IS NOT NULL AND concept_id IS NOT NULL
"""

# Moves all but a concept's newest row to the archive.
ARCHIVE_DUPLICATES = """
WITH removed AS (
    DELETE FROM {table} t USING ({ranked}) r
    WHERE t.{key} = r.{key} AND r.place > 1
    RETURNING to_json(t) AS source_row, t.roadmap_id, t.concept_id
)
INSERT INTO content_archive (source_table, source_row, reason, roadmap_id, concept_id)
SELECT '{table}', source_row, 'a newer row has the same roadmap_id and concept_id', roadmap_id, concept_id
FROM removed
"""

# Reads the foreign keys that refer to a table, with the conditions under which a row `referring` refers to
# the row `t`: deleting it would delete or change that row, or fail.
FOREIGN_KEYS = """
SELECT conname AS name, CAST(CAST(conrelid AS regclass) AS text) AS table_name, ARRAY(
    SELECT format('referring.%I = t.%I', own.attname, far.attname)
    FROM unnest(conkey, confkey) AS k (own, far)
    JOIN pg_attribute own ON own.attrelid = conrelid AND own.attnum = k.own
    JOIN pg_attribute far ON far.attrelid = confrelid AND far.attnum = k.far) AS matches
FROM pg_constraint
WHERE contype = 'f' AND confrelid = to_regclass(:table)
ORDER BY conname
"""

# Reads the keys of the rows that would be archived, and to which a row of one other table refers.
REFERENCED_DUPLICATES = """
SELECT t.{key} FROM {table} t JOIN ({ranked}) r ON t.{key} = r.{key} AND r.place > 1
WHERE EXISTS (SELECT FROM {referring} referring WHERE {matches})
ORDER BY 1
"""

# Reads every unique index of columns of a table, with these, that is checked at each statement: one that is
# checked at the COMMIT permits a moment with two rows.
UNIQUE_INDEXES = """
SELECT CAST(i.indexrelid AS regclass) AS name, ARRAY(
    SELECT CAST(a.attname AS text)
    FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
    WHERE k.place <= i.indnkeyatts) AS columns
FROM pg_index i
WHERE i.indrelid = to_regclass(:table) AND i.indexprs IS NULL
    AND i.indisunique AND i.indisvalid AND i.indimmediate
"""

# Whether a table has an index of all its rows that begins with `roadmap_id`.
HAS_ROADMAP_INDEX = """
SELECT EXISTS (
    SELECT FROM pg_index i JOIN pg_attribute a ON (a.attrelid, a.attnum) = (i.indrelid, i.indkey[0])
    WHERE i.indrelid = to_regclass(:table) AND a.attname = 'roadmap_id' AND i.indpred IS NULL)
"""

# An entry holds 2,704 bytes, and any text of the product may be longer: only digests and prefixes of texts
# are indexed. A page sorts the tasks of one time by their ids. The casts let the product change the types of
# these columns, and the collation theirs. The status may become an enumerated type: PostgreSQL permits a
# digest of it in an index only in an array.
INDEXES = f"""
CREATE INDEX content_task_by_execution ON roadmap_tasks (execution_arn);
CREATE INDEX content_task_by_creation ON roadmap_tasks (created_at);
CREATE INDEX content_task_by_status ON roadmap_tasks USING hash (status);
CREATE INDEX content_task_by_status_and_creation
    ON roadmap_tasks (hash_array_extended(ARRAY[status], 0), created_at);
CREATE INDEX content_task_by_user_and_creation ON roadmap_tasks ({digest("user_id")}, created_at);
CREATE INDEX content_task_by_update ON roadmap_tasks (updated_at);
CREATE INDEX content_task_by_prefix
    ON roadmap_tasks ("left"(CAST(task_id AS text), 100) COLLATE "C" text_pattern_ops);
CREATE INDEX content_task_by_roadmap ON roadmap_tasks ("left"(roadmap_id, 100) COLLATE "C" text_pattern_ops);
CREATE INDEX content_roadmap_by_title
    ON roadmap_metadata ("left"(lower(title), 100) COLLATE "C" text_pattern_ops);
"""

REMOVE = """
ALTER TABLE IF EXISTS roadmap_tasks DROP COLUMN IF EXISTS attempt, DROP COLUMN IF EXISTS execution_arn;
"""
"""Removes our columns, also if the product has removed one. The tables stay with all rows."""


def create_or_adopt(connection: Connection) -> None:
    """Create the product's tables, or add the missing tables and columns, and lock them."""
    for table, columns in COLUMNS.items():  # with the key only: the other columns are added to every table
        key = next(iter(columns))
        connection.execute(text(f"CREATE TABLE IF NOT EXISTS {table} ({key} {columns[key]})"))
    connection.execute(text(f"LOCK TABLE {', '.join(COLUMNS)}"))
    for table, columns in COLUMNS.items():
        _, *others = columns.items()
        added = ", ".join(f"ADD COLUMN IF NOT EXISTS {name} {definition}" for name, definition in others)
        connection.execute(text(f"ALTER TABLE {table} {added}"))
    _refuse_one_tutorial_per_concept(connection)


def repair_rows(connection: Connection) -> None:
    """Give tutorials different versions, and archive duplicates. The triggers do not exist yet."""
    renumbered = connection.execute(text(RENUMBER_TUTORIALS)).rowcount
    repaired = connection.execute(text(REPAIR_LATEST)).rowcount
    log.info("tutorials_repaired", extra={"renumbered": renumbered, "latest_repaired": repaired})
    _archive_duplicates(connection, "resource_recommendation_metadata", "id")
    _archive_duplicates(connection, "quiz_metadata", "quiz_id")


def add_indexes(connection: Connection) -> None:
    """Add the indexes. The product's models have one of `roadmap_id` on each content table."""
    for noun, table in (
        ("tutorial", "tutorial_metadata"),
        ("resources", "resource_recommendation_metadata"),
        ("quiz", "quiz_metadata"),
    ):
        if not connection.scalar(text(HAS_ROADMAP_INDEX), {"table": table}):
            connection.execute(
                text(f"CREATE INDEX content_{noun}_by_roadmap ON {table} USING hash (roadmap_id)")
            )
    connection.execute(text(INDEXES))


def _refuse_one_tutorial_per_concept(connection: Connection) -> None:
    """Refuse an index that permits a concept one tutorial, or one that is the latest. Raises
    CannotAdoptError.
    """
    for index in connection.execute(text(UNIQUE_INDEXES), {"table": "tutorial_metadata"}):
        if set(index.columns) <= {"roadmap_id", "concept_id", "is_latest"}:
            raise CannotAdoptError(
                f"the unique index {index.name} of tutorial_metadata refuses a concept's next version, "
                "which is inserted before the one below it is demoted; drop it first"
            )


def _archive_duplicates(connection: Connection, table: str, key: str) -> None:
    """Move the older rows of a concept to the archive.
    Raises CannotAdoptError: another table refers to one of them; nothing is changed.
    """
    ranked = RANKED.format(table=table, key=key)
    for reference in connection.execute(text(FOREIGN_KEYS), {"table": table}).all():
        query = REFERENCED_DUPLICATES.format(
            table=table,
            key=key,
            ranked=ranked,
            referring=reference.table_name,
            matches=" AND ".join(reference.matches),
        )
        if referenced := connection.scalars(text(query)).all():
            raise CannotAdoptError(
                f"{table} has {len(referenced)} older duplicates of a concept's row that {reference.name} of "
                f"{reference.table_name} refers to; remove these duplicates, or let their references name "
                f"the newer row, then migrate again: {', '.join(referenced[:MOST_NAMED])}"
            )
    archived = connection.execute(text(ARCHIVE_DUPLICATES.format(table=table, key=key, ranked=ranked)))
    log.info("duplicates_archived", extra={"table": table, "rows": archived.rowcount})
