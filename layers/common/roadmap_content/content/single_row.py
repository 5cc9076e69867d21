"""The statements of a content table that has one row per item, with a large JSON column. No I/O."""

from collections.abc import Mapping
from typing import TypedDict

from ..contracts.items import ContentType
from .origins import origin_sql
from .revisions import RevisionStatements, archive_sql, revision_sql, revision_statements


class SingleRowStatements(TypedDict):
    """The fields of a `ContentKind` that follow from its table."""

    table: str
    id_field: str
    save_sql: str
    saved_sql: str
    current_sql: str
    item_sql: str
    all_current_sql: str
    content_sql: str
    revisions: RevisionStatements


# Guarantees: an existing row of a concept is kept; an id that another concept uses is refused, not moved.
# Content that replaces other content is saved only while that is the row's revision, so a repeated or late
# save changes nothing. The row keeps its id, and its former content is archived. A row that the product
# deletes at the same time is not replaced. `OFFSET 0` forces one index lookup per row. Without it, stale
# statistics of a growing roadmap make the planner choose a join that reads all rows of the roadmap for every
# incoming row.
_SAVE = """
WITH incoming AS (
    SELECT r.*, row_number() OVER (PARTITION BY r.{key} ORDER BY r.ordinal) AS id_rank
    FROM json_to_recordset(CAST(:rows AS json)) AS r(
        ordinal integer, concept_id text, {key} text, {typed_columns}, replaces text, origin json)
), checked AS (
    SELECT i.*, mine.{key} AS row_id, CASE
        WHEN mine.{key} IS NOT NULL AND mine.revision IS DISTINCT FROM i.replaces THEN 'kept'
        WHEN i.id_rank > 1 OR owner.{key} IS NOT NULL THEN 'id_taken'
        WHEN mine.{key} IS NOT NULL THEN 'replaced'
        ELSE 'new'
    END AS row_status
    FROM incoming i
    LEFT JOIN LATERAL (SELECT o.{key} FROM {table} o
        WHERE o.{key} = i.{key} OFFSET 0) owner ON true
    LEFT JOIN LATERAL (SELECT m.{key}, {revision_of_mine} AS revision
        FROM {table} m
        WHERE m.roadmap_id = :roadmap_id AND m.concept_id = i.concept_id
        ORDER BY m.generated_at DESC NULLS LAST, m.{key} DESC LIMIT 1) mine ON true
), inserted AS (
    INSERT INTO {table} ({key}, concept_id, roadmap_id, {document}, {columns}, generated_at)
    SELECT j.{key}, j.concept_id, :roadmap_id, CAST(d.{document} AS json), {new_columns}, content_now()
    FROM checked j
    LEFT JOIN string_to_table(CAST(:documents AS text), chr(10)) WITH ORDINALITY AS d({document}, ordinal)
        ON d.ordinal = j.ordinal
    WHERE j.row_status = 'new'
    ON CONFLICT ({key}) DO NOTHING
    RETURNING concept_id
), locked AS (
    SELECT older, j.ordinal, j.{key} AS replaced_by
    FROM checked j JOIN {table} older ON older.{key} = j.row_id
    WHERE j.row_status = 'replaced' FOR NO KEY UPDATE OF older
), archived AS (
    {archive}
), replaced AS (
    UPDATE {table} q SET {document} = CAST(d.{document} AS json), {set_columns}, generated_at = content_now()
    FROM locked l JOIN checked j ON j.ordinal = l.ordinal
    LEFT JOIN string_to_table(CAST(:documents AS text), chr(10)) WITH ORDINALITY AS d({document}, ordinal)
        ON d.ordinal = j.ordinal
    WHERE q.{key} = (l.older).{key}
    RETURNING q.concept_id
), recorded AS (
    {origin}
)
SELECT j.concept_id, 'id_taken' AS row_status
FROM checked j
WHERE j.row_status IN ('new', 'id_taken') AND j.concept_id NOT IN (SELECT concept_id FROM inserted)
"""


def single_row_statements(
    content_type: ContentType,
    table: str,
    key: str,
    *,
    document: str,
    columns: Mapping[str, str],
    projected: str,
    fields: tuple[str, ...],
) -> SingleRowStatements:
    """The statements of a table. Long, because each statement stands whole.

    Args:
        content_type: its content type.
        table: its name.
        key: its primary key.
        document: the JSON column with the largest part of the content.
        columns: the names and types of the other columns that a save sets.
        projected: the column that `framework_data` needs.
        fields: the columns with the fields of the content.
    """
    revision = f"{revision_sql(table, key)} AS revision"
    generated_at = "timezone('UTC', timezone(content_time_zone(), generated_at)) AS generated_at"
    # The product may have written a second row for the concept: the newest row is current.
    newest = f"generated_at DESC NULLS LAST, {key} DESC"
    save = _SAVE.format(
        table=table,
        key=key,
        document=document,
        columns=", ".join(columns),
        typed_columns=", ".join(f"{name} {kind}" for name, kind in columns.items()),
        new_columns=", ".join(f"j.{name}" for name in columns),
        set_columns=", ".join(f"{name} = j.{name}" for name in columns),
        revision_of_mine=revision_sql(table, f"m.{key}"),
        archive=archive_sql(table, key),
        origin=origin_sql(content_type, key, "TABLE inserted UNION ALL TABLE replaced"),
    )
    return SingleRowStatements(
        table=table,
        id_field=key,
        save_sql=save,
        saved_sql=f"SELECT DISTINCT concept_id FROM {table} WHERE roadmap_id = :roadmap_id",
        current_sql=f"""
SELECT DISTINCT ON (concept_id) concept_id, {key}, {projected}, generated_at, {revision}
FROM {table} WHERE roadmap_id = :roadmap_id
ORDER BY concept_id, {newest}
""",
        item_sql=f"""
SELECT {key}, {generated_at}, {revision}
FROM {table}
WHERE roadmap_id = :roadmap_id AND concept_id = :concept_id
ORDER BY {newest} LIMIT 1
""",
        all_current_sql=f"""
SELECT DISTINCT ON (roadmap_id, concept_id) roadmap_id, concept_id, {revision_sql(table, key)} AS content_id
FROM {table}
ORDER BY roadmap_id, concept_id, {newest}
""",
        # The content type has no versions: `:version` is NULL.
        content_sql=f"""
SELECT {", ".join(fields)}, {generated_at}
FROM {table}
WHERE roadmap_id = :roadmap_id AND concept_id = :concept_id AND CAST(:version AS integer) IS NULL
ORDER BY {newest} LIMIT 1
""",
        revisions=revision_statements(table, key, fields, size=document),
    )
