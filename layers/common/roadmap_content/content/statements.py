"""The SQL that the content tables share. No I/O.

A saved or refused content has its origin in `content_origins`. A replaced content moves to `content_archive`.
A revision is a current or former content of an item. The id of a former one in the archive is `archive-` and
its `archive_id`; a row of a content table has its own id.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..contracts.items import ContentType

# The columns of an origin that the generator determines: for an INSERT, and with types for a recordset.
_ORIGIN_NAMES = "content_fingerprint, generator, model_id, prompt_version, tokens_in, tokens_out"

_TYPED_ORIGIN = (
    "content_fingerprint text, generator text, model_id text, prompt_version text,"
    " tokens_in integer, tokens_out integer"
)

ORIGIN_COLUMNS = f"task_id text, attempt integer, {_TYPED_ORIGIN}"
"""The part of an incoming row that is its origin."""

# Records the origins of the contents that an attempt refused.
# Guarantees: a repeated record of the same refusal changes nothing. The answer of a model that was refused
# before it was staged has no fingerprint: its tokens tell it from another answer. An index has the refused
# contents only.
RECORD_REFUSED = f"""
INSERT INTO content_origins
    (content_type, roadmap_id, concept_id, task_id, attempt, refused_code, {_ORIGIN_NAMES})
SELECT r.content_type, :roadmap_id, r.concept_id, :task_id, :attempt, r.refused_code, {_ORIGIN_NAMES}
FROM json_to_recordset(CAST(:refused AS json)) AS r(
    content_type text, concept_id text, refused_code text, {_TYPED_ORIGIN})
WHERE NOT EXISTS (SELECT FROM content_origins known
    WHERE known.task_id = :task_id AND known.attempt = :attempt AND known.refused_code IS NOT NULL
        AND known.content_type = r.content_type AND known.concept_id = r.concept_id
        AND (known.content_fingerprint, known.tokens_in, known.tokens_out)
            IS NOT DISTINCT FROM (r.content_fingerprint, r.tokens_in, r.tokens_out))
"""

# Records the origin of a restored content: the person, and how its source was generated. One row is joined
# with the source's latest origin, so that a row is written also if that has none.
RECORD_RESTORED = f"""
INSERT INTO content_origins (content_type, content_id, roadmap_id, concept_id, actor, reason, restored_from,
    task_id, attempt, {_ORIGIN_NAMES})
SELECT :content_type, :content_id, :roadmap_id, :concept_id, :actor, :reason, :restored_from,
    source.task_id, source.attempt, {_ORIGIN_NAMES}
FROM (SELECT 1) AS one_row LEFT JOIN LATERAL (SELECT * FROM content_origins
    WHERE content_id = :restored_from AND content_type = :content_type AND roadmap_id = :roadmap_id
        AND concept_id = :concept_id
    ORDER BY origin_id DESC LIMIT 1) AS source ON true
"""

# Selects the latest origin of a content. The actor and the instruction of an attempt are in its row, and are
# erased with it; an attempt that was claimed later has the number of one in an earlier life of the task. The
# instruction applies to what the attempt has replaced: a missing item may have been staged before, without
# it. A restored content has an actor of its own, who may not read this text.
ORIGIN_OF_CONTENT = """
SELECT generator, model_id, prompt_version, o.tokens_in, o.tokens_out,
    o.task_id, o.attempt, a.claimed_at, coalesce(o.actor, a.actor) AS actor, o.reason, restored_from,
    recorded_at,
    CASE WHEN o.actor IS NULL AND a.replaces -> o.content_type -> o.concept_id IS NOT NULL
        THEN a.scope ->> 'instruction' END AS instruction
FROM content_origins o LEFT JOIN content_attempts a
    ON (a.task_id, a.attempt) = (o.task_id, o.attempt) AND a.claimed_at <= o.recorded_at
WHERE o.content_id = :content_id AND o.content_type = :content_type AND o.roadmap_id = :roadmap_id
    AND o.concept_id = :concept_id
ORDER BY o.origin_id DESC LIMIT 1
"""


def _digest(text_value: str) -> str:
    """A hash of an id, as our index has it. Collation "C": the product's may be nondeterministic."""
    return f'hashtextextended(CAST({text_value} AS text) COLLATE "C", 0)'


def of_item(concept_id: str = ":concept_id", row: str = "") -> str:
    """The condition of the rows of an item of `:roadmap_id` in a content table; `row` is a prefix of their
    columns, such as `m.`. Only our index of digests can answer it: while the statistics of a growing roadmap
    are stale, the planner would choose the product's index of `roadmap_id`, and read the whole roadmap for
    each item.
    """
    return (
        f"{_digest(f'{row}roadmap_id')} = {_digest(':roadmap_id')}"
        f" AND {_digest(f'{row}concept_id')} = {_digest(concept_id)}"
        f" AND ({row}roadmap_id, {row}concept_id) IS NOT DISTINCT FROM (:roadmap_id, {concept_id})"
    )


def origin_sql(content_type: ContentType, key: str, written: str) -> str:
    """A part of a `save`: records the origins of rows of `checked` whose concepts `written` returns."""
    return (
        "INSERT INTO content_origins (content_type, content_id, roadmap_id, concept_id, task_id, attempt,"
        f" {_ORIGIN_NAMES})"
        f" SELECT '{content_type}', {key}, :roadmap_id, concept_id, task_id, attempt, {_ORIGIN_NAMES}"
        f" FROM checked JOIN ({written}) AS written USING (concept_id)"
    )


# Removes former contents with their origins. `expired`: of the `:step` oldest archived rows with a content,
# those that are older than `:days`; a step reads no others. If a row was replaced in place, its newest
# archived row has the revision of the current content, in `replaced_by`, and is still needed: it is only
# `emptied` of the former content (`source_row`). The other expired rows are `removed`, and with them the
# older rows that earlier steps have emptied: they are not the newest any more.
_REMOVE_FORMER = """
WITH expired AS MATERIALIZED (
    SELECT a.*, a.replaced_by IS NOT NULL AND NOT EXISTS (SELECT FROM content_archive newer
        WHERE newer.row_id = a.row_id AND newer.source_table = a.source_table
            AND newer.archive_id > a.archive_id) AS has_current_revision
    FROM (SELECT archive_id, source_table, archived_at, row_id, content_id, replaced_by, roadmap_id,
        concept_id FROM content_archive WHERE source_row IS NOT NULL ORDER BY archive_id LIMIT :step) AS a
    WHERE archived_at < now() - make_interval(days => :days)
), forgotten AS (
    DELETE FROM content_origins o USING expired e WHERE o.content_id = e.content_id
        AND o.content_type = CASE e.source_table {types} END
        AND o.roadmap_id = e.roadmap_id AND o.concept_id = e.concept_id
), emptied AS (
    UPDATE content_archive a SET source_row = NULL FROM expired e
    WHERE a.archive_id = e.archive_id AND e.has_current_revision
), removed AS (
    DELETE FROM content_archive WHERE archive_id IN (
        SELECT archive_id FROM expired WHERE NOT has_current_revision
        UNION ALL SELECT older.archive_id FROM expired e JOIN content_archive older
            ON older.row_id = e.row_id AND older.source_table = e.source_table
            AND older.archive_id < e.archive_id AND older.source_row IS NULL)
)
SELECT archive_id FROM expired
"""


def remove_former_sql(content_types: Mapping[str, str]) -> str:
    """Removes up to `:step` former contents older than `:days`; returns a row for each. The argument has the
    content type of each table.
    """
    types = " ".join(f"WHEN '{table}' THEN '{name}'" for table, name in content_types.items())
    return _REMOVE_FORMER.format(types=types)


def revision_sql(table: str, row_id: str) -> str:
    """An SQL expression for a row's content id: that of the content that replaced it last, or its own id. A
    row that is replaced in place keeps its id: other rows, and pages on a learner's screen, refer to it.
    """
    return (
        f"coalesce((SELECT a.replaced_by FROM content_archive a WHERE a.row_id = {row_id}"
        f" AND a.source_table = '{table}' AND a.replaced_by IS NOT NULL"
        f" ORDER BY a.archive_id DESC LIMIT 1), {row_id})"
    )


# The column `readable`: a document whose escapes PostgreSQL can decode. Its operators fail on a NUL or a
# surrogate in any text, also in one that is not read; a surrogate pair becomes two replacement characters.
_READABLE = (
    r"LATERAL (SELECT CAST(regexp_replace(CAST(document AS text),"
    r" '\\u(0000|[dD][89a-fA-F][0-9a-fA-F]{2})', '\\ufffd', 'g') AS json) AS readable) AS decoded"
)


class TableStatements(NamedTuple):
    """The statements of a content table."""

    save: str
    """Saves the rows of `save_parameters` with origins. Returns `concept_id` and `row_status` of those that
    were not written: `kept` if there is a completed row, or else the refusal.
    """

    saved: Callable[[str], str]
    """SQL expression of a roadmap's id → a statement that selects the `concept_id` of every item that has a
    completed row, once each.
    """

    current: Callable[[str], str]
    """SQL expression of a roadmap's id → a statement that selects the current row of every completed item,
    for `project`, its `generated_at` as the table has it, without a zone, and its `revision`: the id of its
    current content.
    """

    item: Callable[[str], str]
    """SQL expression of a concept's id → a statement that selects the id, revision and time of generation of
    its current row in `:roadmap_id`: the row that `current` selects.
    """

    all_current: str
    """Selects `roadmap_id`, `concept_id` and `content_id` (the revision) of the current row of every item."""

    content: str
    """Selects `generated_at` and the fields of the content in the current row of `:concept_id` in
    `:roadmap_id`: the row that `current` selects. With `:version`, in the newest row of that version.
    """

    fields: tuple[str, ...]
    """The columns with the fields of the content."""

    listing: str
    """The newest 100 revisions of `:concept_id` in `:roadmap_id`: first the rows of the content table, then
    those in the archive.
    """

    source: str
    """Of these, the row of `:revision_id` as a JSON text, its `content_id`, `generated_at` and `content_url`,
    and whether a later row with another title or summary has the same `content_url`.
    """

    insert: str
    """Inserts the content of the row `:source` as the row `:row_id`, and returns it. Where each content is a
    row of its own, only if the current row has another content.
    """

    replace: str | None = None
    """Gives the row `:row_id` the content of the row `:source`; returns a row if this changes it. `None` if
    each content is a row of its own.
    """

    versions: str | None = None
    """Selects the highest `version`, completed or not, of each of `:concept_ids` (a JSON array) in
    `:roadmap_id`. `None` for a content type without versions.
    """


def table_statements(
    table: str,
    key: str,
    *,
    save: str,
    insert: str,
    replace: str | None = None,
    versions: str | None = None,
    condition: str = "true",
    newest: str,
    projected: str,
    fields: tuple[str, ...],
    version: str | None = None,
    size: str = "CAST(NULL AS integer)",
    content_url: str = "CAST(NULL AS text)",
) -> TableStatements:
    """The statements of a content table: those that are given, and all reads.

    Args:
        table: its name.
        key: its primary key.
        save, insert, replace, versions: as in the result.
        condition: of its rows that are contents.
        newest: the order of the rows of an item, of which the first is the current one.
        projected: the columns that `framework_data` needs.
        fields: the columns with the fields of the content.
        version: the column with the version of a content.
        size: the size of a revision in bytes, from its decoded row `readable`.
        content_url: the key of its text, from the same.
    """
    revision = revision_sql(table, key)
    generated_at = "timezone(content_time_zone(), generated_at) AS generated_at"
    identity, of_version = key, "CAST(:version AS integer) IS NULL"
    if version is not None:
        identity = f"{key}, {version}"
        # As texts, because the product may change the column's type.
        of_version = f"({of_version} OR CAST({version} AS text) = CAST(:version AS text))"

    def item(concept_id: str) -> str:
        return f"""
SELECT {identity}, {generated_at}, {revision} AS revision
FROM {table} WHERE {of_item(concept_id)} AND {condition} ORDER BY {newest} LIMIT 1
"""

    def saved(roadmap_id: str) -> str:
        return f"SELECT DISTINCT concept_id FROM {table} WHERE roadmap_id = {roadmap_id} AND {condition}"

    def current(roadmap_id: str) -> str:
        return f"""
SELECT DISTINCT ON (concept_id) concept_id, {key}, {projected}, generated_at, {revision} AS revision
FROM {table} WHERE roadmap_id = {roadmap_id} AND {condition} ORDER BY concept_id, {newest}
"""

    listing, source = _revision_reads(table, key, condition, version, size, content_url)
    return TableStatements(
        save=save,
        saved=saved,
        current=current,
        item=item,
        all_current=f"""
SELECT DISTINCT ON (roadmap_id, concept_id) roadmap_id, concept_id, {revision} AS content_id
FROM {table} WHERE {condition} ORDER BY roadmap_id, concept_id, {newest}
""",
        content=f"""
SELECT {", ".join(fields)}, {generated_at}
FROM {table} WHERE {of_item()} AND {condition} AND {of_version} ORDER BY {newest} LIMIT 1
""",
        fields=fields,
        listing=listing,
        source=source,
        insert=insert,
        replace=replace,
        versions=versions,
    )


def _revision_reads(
    table: str, key: str, condition: str, version_column: str | None, size: str, content_url: str
) -> tuple[str, str]:
    """The statements `listing` and `source` of a content table. Both read `revisions`: an item's rows in the
    archive, where an index has the hashes of ids, and those of its table, each as a JSON `document`.
    """
    version = "CAST(NULL AS integer)"
    if version_column is not None:
        version = f"CAST((readable -> '{version_column}') #>> '{{}}' AS integer)"
    revisions = f"""
    SELECT 'archive-' || a.archive_id AS revision_id, a.archive_id, a.source_row AS document,
        a.content_id, a.archived_at AS replaced_at, a.reason
    FROM content_archive a
    WHERE hashtextextended(a.roadmap_id, 0) = hashtextextended(CAST(:roadmap_id AS text), 0)
        AND hashtextextended(a.concept_id, 0) = hashtextextended(CAST(:concept_id AS text), 0)
        AND a.roadmap_id = :roadmap_id AND a.concept_id = :concept_id AND a.source_table = '{table}'
        AND a.source_row IS NOT NULL
    UNION ALL
    SELECT r.{key}, NULL, to_json(r), {revision_sql(table, f"r.{key}")}, NULL, NULL
    FROM {table} r WHERE {of_item()} AND {condition}"""
    generated_at = (
        "timezone(content_time_zone(),"
        " CAST((readable -> 'generated_at') #>> '{}' AS timestamp)) AS generated_at"
    )
    listing = f"""
SELECT revision_id, content_id, replaced_at, reason, {generated_at},
    {version} AS version, {size} AS size, {content_url} AS content_url
FROM ({revisions}) AS found, {_READABLE}
ORDER BY archive_id DESC NULLS FIRST, {version} DESC NULLS LAST, generated_at DESC NULLS LAST, revision_id
LIMIT 100
"""
    source = f"""
WITH revision AS (
    SELECT revision_id, document, content_id, {generated_at}, {content_url} AS content_url,
        concat(readable -> 'title', readable -> 'summary') AS heading
    FROM ({revisions}) AS found, {_READABLE})
SELECT CAST(document AS text) AS source, content_id, generated_at, content_url,
    EXISTS (SELECT FROM revision later WHERE later.content_url = r.content_url
        AND later.generated_at > r.generated_at AND later.heading <> r.heading) AS is_overwritten
FROM revision r WHERE revision_id = :revision_id
"""
    return listing, source


# Gives an item's row, `older`, the content of a former one, unless they differ in `generated_at` only: a
# function of the migration updates all columns but the key. Columns that were added since the former one was
# archived keep their values.
_REPLACE = """
SELECT content_replace_item('{table}', '{key}', older, newer) FROM (
    SELECT older, json_populate_record(json_populate_record(older, CAST(:source AS json)),
        json_build_object('{key}', older.{key}, 'generated_at', content_now())) AS newer
    FROM {table} older WHERE older.{key} = :row_id FOR NO KEY UPDATE) AS restored
WHERE CAST(to_json(older) AS text) <> CAST(to_json(json_populate_record(newer,
    json_build_object('generated_at', (older).generated_at))) AS text)
"""

# Inserts a former content of an item that has no row any more.
_INSERT = """
INSERT INTO {table} SELECT r.* FROM json_populate_record(
    json_populate_record(CAST(NULL AS {table}), CAST(:source AS json)),
    json_build_object('{key}', CAST(:row_id AS text), 'generated_at', content_now())) AS r
RETURNING {key}
"""


# Saves contents of a table with one row per item, with their origins. `mine` is the concept's current row;
# `replaces` is the revision that the content shall replace, or NULL for a missing item. `checked` decides:
#   new: the concept has no row.
#   kept: its row has another revision than `replaces`; so a repeated or late save changes nothing.
#   id_taken: the content may replace that of the row, but needs an id of its own, which becomes the revision.
#   replaced: so it does. The row keeps its id, and its former content is archived.
# The parts behind `checked` write. Returns those that were not written: as `id_taken` also a `new` one whose
# id another row has, or an earlier one of the batch (ON CONFLICT leaves it out), and a `replaced` one whose
# row the product has deleted meanwhile.
# `OFFSET 0` forces one index lookup per row: stale statistics would make the planner read the table for each.
# A content without its document (LEFT JOIN) violates NOT NULL, instead of being left out.
_SAVE = """
WITH incoming AS (
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS r(
        ordinal integer, concept_id text, {key} text, {typed_columns}, replaces text, {origin_columns})
), checked AS (
    SELECT incoming.*, mine.{key} AS row_id, CASE
        WHEN mine.{key} IS NULL THEN 'new'
        WHEN mine.revision IS DISTINCT FROM incoming.replaces THEN 'kept'
        WHEN incoming.{key} = incoming.replaces
            OR EXISTS (SELECT FROM {table} o WHERE o.{key} = incoming.{key} OFFSET 0) THEN 'id_taken'
        ELSE 'replaced'
    END AS row_status
    FROM incoming
    LEFT JOIN LATERAL (SELECT m.{key}, {revision_of_mine} AS revision
        FROM {table} m
        WHERE {of_item}
        ORDER BY m.generated_at DESC NULLS LAST, m.{key} DESC LIMIT 1) mine ON true
), inserted AS (
    INSERT INTO {table} ({key}, concept_id, roadmap_id, {document}, {columns}, generated_at)
    SELECT {key}, concept_id, :roadmap_id, CAST(d.{document} AS json), {columns}, content_now()
    FROM checked
    LEFT JOIN string_to_table(CAST(:documents AS text), chr(10)) WITH ORDINALITY AS d({document}, ordinal)
        ON d.ordinal = checked.ordinal
    WHERE row_status = 'new' ON CONFLICT ({key}) DO NOTHING
    RETURNING concept_id
), locked AS (
    SELECT older, ordinal, replaces, checked.{key} AS replaced_by
    FROM checked JOIN {table} older ON older.{key} = row_id
    WHERE row_status = 'replaced' FOR NO KEY UPDATE OF older
), archived AS (
    INSERT INTO content_archive
        (source_table, source_row, roadmap_id, concept_id, reason, row_id, content_id, replaced_by)
    SELECT '{table}', to_json(older), (older).roadmap_id, (older).concept_id,
        'replaced in place', (older).{key}, replaces, replaced_by
    FROM locked
), replaced AS (
    UPDATE {table} target SET
        {document} = CAST(d.{document} AS json), {set_columns}, generated_at = content_now()
    FROM locked JOIN checked ON checked.ordinal = locked.ordinal
    LEFT JOIN string_to_table(CAST(:documents AS text), chr(10)) WITH ORDINALITY AS d({document}, ordinal)
        ON d.ordinal = checked.ordinal
    WHERE target.{key} = (locked.older).{key} RETURNING target.concept_id
), recorded AS (
    {origin}
)
SELECT concept_id, CASE row_status WHEN 'kept' THEN 'kept' ELSE 'id_taken' END AS row_status
FROM checked
WHERE concept_id NOT IN (SELECT concept_id FROM inserted UNION ALL SELECT concept_id FROM replaced)
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
) -> TableStatements:
    """The statements of a table with one row for each item.

    Args:
        content_type: its content type.
        table, key, projected, fields: as of `table_statements`.
        document: the JSON column with the largest part of the content.
        columns: the names and types of the other columns that a save sets.
    """
    save = _SAVE.format(
        table=table,
        key=key,
        document=document,
        columns=", ".join(columns),
        typed_columns=", ".join(f"{name} {kind}" for name, kind in columns.items()),
        set_columns=", ".join(f"{name} = checked.{name}" for name in columns),
        of_item=of_item("incoming.concept_id", "m."),
        revision_of_mine=revision_sql(table, f"m.{key}"),
        origin_columns=ORIGIN_COLUMNS,
        origin=origin_sql(content_type, key, "TABLE inserted UNION ALL TABLE replaced"),
    )
    return table_statements(
        table,
        key,
        save=save,
        insert=_INSERT.format(table=table, key=key),
        replace=_REPLACE.format(table=table, key=key),
        # The product may have written a second row for the concept: the newest row is current.
        newest=f"generated_at DESC NULLS LAST, {key} DESC",
        projected=projected,
        fields=fields,
        size=f"octet_length(CAST(readable -> '{document}' AS text))",
    )
