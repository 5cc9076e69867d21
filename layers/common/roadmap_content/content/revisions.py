"""The table `content_archive`: the former contents of items, and the statements that restore them. No I/O.

A revision is a current or former content of an item. The id of a former one in the archive is `archive-` and
its `archive_id`; a row of a content table has its own id.
"""

from typing import NamedTuple


def revision_sql(table: str, row_id: str) -> str:
    """An SQL expression for a row's content id: that of the content that replaced it last, or its own id.

    A row that is replaced in place keeps its id, because other rows, and pages on a learner's screen, refer
    to it.
    """
    return (
        f"coalesce((SELECT a.replaced_by FROM content_archive a WHERE a.row_id = {row_id}"
        f" AND a.source_table = '{table}' AND a.replaced_by IS NOT NULL"
        f" ORDER BY a.archive_id DESC LIMIT 1), {row_id})"
    )


def archive_sql(table: str, key: str) -> str:
    """A statement that archives the rows of `locked`: each as `older`, with the id of its new content."""
    return (
        "INSERT INTO content_archive"
        " (source_table, source_row, roadmap_id, concept_id, reason, row_id, replaced_by)"
        f" SELECT '{table}', to_json(l.older), (l.older).roadmap_id, (l.older).concept_id,"
        f" 'replaced in place', (l.older).{key}, l.replaced_by"
        " FROM locked l"
    )


# PostgreSQL's operators fail if any text of a document has an escape that it cannot decode.
_READABLE = (
    r"LATERAL (SELECT CAST(regexp_replace(CAST(document AS text),"
    r" '\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\\ufffd', 'g') AS json) AS readable) AS decoded"
)

_CONTENT_VERSION = "(readable -> 'content_version') #>> '{}'"


class RevisionStatements(NamedTuple):
    """The statements for the revisions of an item: `:concept_id` in `:roadmap_id`."""

    listing: str
    """The newest 100 revisions: first the rows of the content table, then those in the archive."""

    source: str
    """The row of `:revision_id` as a JSON text, its `content_id`, `generated_at` and `content_url`,
    and whether a later row with another title or summary has the same `content_url`.
    """

    columns: tuple[str, ...]
    """The columns with the fields of the content."""

    replace: str | None
    """Gives the row `:row_id` the content of the row `:source`; returns a row if this changes it. `None` if
    each content is a row of its own.
    """

    insert: str
    """Inserts the content of the row `:source` as the row `:row_id`, and returns it. Where each content is a
    row of its own, only if the current row has another content.
    """


def revision_statements(
    table: str, key: str, columns: tuple[str, ...], *, size: str | None, versioned: bool = False
) -> RevisionStatements:
    """The statements of a content table. Long, because each statement stands whole.

    Args:
        table: its name.
        key: its primary key.
        columns: the columns with the fields of the content.
        size: the column whose bytes are the size of a content; `None` if it is not in the row.
        versioned: whether each content is a row of its own.
    """
    document = f"""
    SELECT 'archive-' || a.archive_id AS revision_id, a.archive_id, a.source_row AS document,
        coalesce((SELECT p.replaced_by FROM content_archive p WHERE p.row_id = a.row_id
            AND p.source_table = a.source_table AND p.replaced_by IS NOT NULL AND p.archive_id < a.archive_id
            ORDER BY p.archive_id DESC LIMIT 1), a.row_id) AS content_id,
        a.archived_at AS replaced_at, a.reason
    FROM content_archive a
    WHERE hashtextextended(a.roadmap_id, 0) = hashtextextended(CAST(:roadmap_id AS text), 0)
        AND hashtextextended(a.concept_id, 0) = hashtextextended(CAST(:concept_id AS text), 0)
        AND a.roadmap_id = :roadmap_id AND a.concept_id = :concept_id AND a.source_table = '{table}'
    UNION ALL
    SELECT r.{key}, NULL, to_json(r), {revision_sql(table, f"r.{key}")}, NULL, NULL
    FROM {table} r WHERE r.roadmap_id = :roadmap_id AND r.concept_id = :concept_id
        {"AND r.content_status = 'completed'" if versioned else ""}"""
    generated_at = (
        "timezone('UTC', timezone(content_time_zone(),"
        " CAST((readable -> 'generated_at') #>> '{}' AS timestamp))) AS generated_at"
    )
    version = f"CAST({_CONTENT_VERSION if versioned else 'NULL'} AS integer)"
    size_of = f"octet_length(CAST(readable -> '{size}' AS text))" if size else "CAST(NULL AS integer)"
    content_url = "(readable -> 'content_url') #>> '{}'" if versioned else "CAST(NULL AS text)"
    listing = f"""
SELECT revision_id, content_id, replaced_at, reason, {generated_at},
    {version} AS version, {size_of} AS size, {content_url} AS content_url
FROM ({document}) AS found, {_READABLE}
ORDER BY archive_id DESC NULLS FIRST, {version} DESC NULLS LAST, generated_at DESC NULLS LAST, revision_id
LIMIT 100
"""
    source = f"""
WITH revision AS (
    SELECT revision_id, document, content_id, {generated_at}, {content_url} AS content_url,
        concat(readable -> 'title', readable -> 'summary') AS heading
    FROM ({document}) AS found, {_READABLE})
SELECT CAST(document AS text) AS source, content_id, generated_at, content_url,
    EXISTS (SELECT FROM revision later WHERE later.content_url = r.content_url
        AND later.generated_at > r.generated_at AND later.heading <> r.heading) AS is_overwritten
FROM revision r WHERE revision_id = :revision_id LIMIT 1
"""
    # Columns that were added since the row was archived keep their values.
    replace = f"""
SELECT content_replace_item('{table}', '{key}', older, newer) FROM (
    SELECT older, json_populate_record(json_populate_record(older, CAST(:source AS json)),
        json_build_object('{key}', older.{key}, 'generated_at', content_now())) AS newer
    FROM {table} older WHERE older.{key} = :row_id FOR NO KEY UPDATE) AS restored
WHERE CAST(to_json(older) AS text) <> CAST(to_json(json_populate_record(newer,
    json_build_object('generated_at', (older).generated_at))) AS text)
"""
    of_item = "roadmap_id = :roadmap_id AND concept_id = :concept_id"
    next_version = f"(SELECT coalesce(max(content_version), 0) + 1 FROM {table} WHERE {of_item})"
    as_latest = (
        "'content_status', 'completed', 'is_latest', true, 'content_url', CAST(:content_url AS text),"
        f" 'content_version', {next_version},"
    )
    compared = [name for name in columns if name not in (key, "content_version")]
    differs = f"""WHERE ({", ".join(f"r.{name}" for name in compared)}) IS DISTINCT FROM (
    SELECT ({", ".join(compared)}) FROM {table} WHERE {of_item} AND content_status = 'completed'
    ORDER BY content_version DESC, is_latest DESC NULLS LAST, generated_at DESC NULLS LAST, {key} LIMIT 1)
"""
    insert = f"""
INSERT INTO {table} SELECT r.* FROM json_populate_record(
    json_populate_record(CAST(NULL AS {table}), CAST(:source AS json)),
    json_build_object({as_latest if versioned else ""} '{key}', CAST(:row_id AS text),
        'generated_at', content_now())) AS r
{differs if versioned else ""}RETURNING {key}
"""
    return RevisionStatements(listing, source, columns, None if versioned else replace, insert)
