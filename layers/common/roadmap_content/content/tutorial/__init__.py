"""Tutorials: the contract, the table `tutorial_metadata`, and the fields in `framework_data`.

The text is an S3 object that is written once and never overwritten. The row contains its key, and the key a
hash of the text.
"""

import math
import re
from collections.abc import Iterator

from ...contracts.documents import Document, unstorable
from ...contracts.items import ContentType
from ...platform.storage.keys import text_key
from ..kind import (
    Content,
    ContentId,
    ContentKind,
    Draft,
    Names,
    NonNegative,
    Positive,
    Row,
    StoredText,
    Title,
    status_field,
)
from ..statements import ORIGIN_COLUMNS, of_item, origin_sql, table_statements


class Tutorial(Content):
    """A staged tutorial. `estimated_completion_time` is in minutes."""

    tutorial_id: ContentId
    title: Title
    summary: str
    content_version: Positive
    estimated_completion_time: NonNegative
    markdown: str


class TutorialDraft(Draft):
    """A tutorial from a generator. `estimated_completion_time` is in minutes."""

    title: Title
    summary: str
    estimated_completion_time: NonNegative
    markdown: str

    def fault(self) -> str | None:
        blank = [name for name in ("title", "summary", "markdown") if not getattr(self, name).strip()]
        return f"{blank[0]} is blank" if blank else None


# Saves versions of tutorials, with their origins. `mine` is the concept's row with the version: a completed
# one, if there are several. `checked` decides:
#   kept: the version is saved. A completed row is never changed.
#   version_taken: the product has prepared the version, not completed, under another id.
#   prepared: the product has prepared it under this id: it is completed in place.
#   new: nobody has the version.
# The parts behind `checked` write. Returns those that were not written: as `id_taken` also a `new` one whose
# id another row has, or an earlier one of the batch (ON CONFLICT leaves it out), and a `prepared` one whose
# row the product has deleted meanwhile.
# Requires a lock on the roadmap's row, so that no other transaction saves its concepts at the same time.
# A row becomes the latest only if no version is higher; then a trigger clears `is_latest` of the others.
# `OFFSET 0` forces one index lookup per row: stale statistics would make the planner read the whole roadmap
# for each.
SAVE = f"""
WITH incoming AS (
    SELECT * FROM json_to_recordset(CAST(:rows AS json)) AS r(
        concept_id text, tutorial_id text, title text, summary text, content_url text,
        content_version integer, estimated_completion_time integer, {ORIGIN_COLUMNS})
), checked AS (
    SELECT incoming.*, CASE
        WHEN mine.content_status = 'completed' THEN 'kept'
        WHEN mine.tutorial_id <> incoming.tutorial_id THEN 'version_taken'
        WHEN mine.tutorial_id IS NOT NULL THEN 'prepared'
        ELSE 'new'
    END AS row_status
    FROM incoming
    LEFT JOIN LATERAL (SELECT m.tutorial_id, m.content_status FROM tutorial_metadata m
        WHERE {of_item("incoming.concept_id", "m.")}
            AND m.content_version = incoming.content_version
        ORDER BY m.content_status = 'completed' DESC NULLS LAST LIMIT 1) mine ON true
), inserted AS (
    INSERT INTO tutorial_metadata (tutorial_id, concept_id, roadmap_id, title, summary, content_url,
        content_status, content_version, is_latest, estimated_completion_time, generated_at)
    SELECT tutorial_id, concept_id, :roadmap_id, title, summary, content_url, 'completed', content_version,
        NOT EXISTS (SELECT FROM tutorial_metadata higher
            WHERE {of_item("checked.concept_id", "higher.")}
                AND higher.content_version > checked.content_version OFFSET 0),
        estimated_completion_time, content_now()
    FROM checked WHERE row_status = 'new'
    ON CONFLICT (tutorial_id) DO NOTHING
    RETURNING concept_id
), completed AS (
    UPDATE tutorial_metadata t SET title = checked.title, summary = checked.summary,
        content_url = checked.content_url, content_status = 'completed',
        estimated_completion_time = checked.estimated_completion_time, generated_at = content_now()
    FROM checked WHERE row_status = 'prepared' AND t.tutorial_id = checked.tutorial_id RETURNING t.concept_id
), recorded AS (
    {origin_sql(ContentType.TUTORIAL, "tutorial_id", "TABLE inserted UNION ALL TABLE completed")}
)
SELECT concept_id,
    CASE WHEN row_status IN ('new', 'prepared') THEN 'id_taken' ELSE row_status END AS row_status
FROM checked
WHERE concept_id NOT IN (SELECT concept_id FROM inserted UNION ALL SELECT concept_id FROM completed)
"""

# The highest completed version is current, whatever `is_latest` says: it may be set on a row that is only
# prepared. If two texts share a version, it is the one that the product shows: the latest, then the newest.
NEWEST = "content_version DESC, is_latest DESC NULLS LAST, generated_at DESC NULLS LAST, tutorial_id"

# The highest version of each concept, completed or not.
VERSIONS = f"""
SELECT concept_id, t.version
FROM json_array_elements_text(CAST(:concept_ids AS json)) AS c(concept_id), LATERAL (
    SELECT max(content_version) AS version FROM tutorial_metadata m
    WHERE {of_item("c.concept_id", "m.")}) t
WHERE t.version IS NOT NULL
"""


# Inserts a former content as a new row.
# Guarantees: the restored content becomes the latest, under the next free version. Nothing is inserted if it
# is the current one already.
INSERT_RESTORED = f"""
INSERT INTO tutorial_metadata SELECT r.* FROM json_populate_record(
    json_populate_record(CAST(NULL AS tutorial_metadata), CAST(:source AS json)),
    json_build_object('tutorial_id', CAST(:row_id AS text), 'generated_at', content_now(),
        'content_status', 'completed', 'is_latest', true, 'content_url', CAST(:content_url AS text),
        'content_version', (SELECT coalesce(max(content_version), 0) + 1 FROM tutorial_metadata
            WHERE {of_item()}))) AS r
WHERE (r.title, r.summary, r.estimated_completion_time, r.content_url) IS DISTINCT FROM (
    SELECT (title, summary, estimated_completion_time, content_url) FROM tutorial_metadata
    WHERE {of_item()} AND content_status = 'completed'
    ORDER BY {NEWEST} LIMIT 1)
RETURNING tutorial_id
"""


def _to_row(roadmap_id: str, concept_id: str, tutorial: Document) -> Row:
    return {
        "concept_id": concept_id,
        "tutorial_id": tutorial["tutorial_id"],
        "title": tutorial["title"],
        "summary": tutorial["summary"],
        "content_url": text_key(roadmap_id, concept_id, tutorial["markdown"].encode()),
        "content_version": tutorial["content_version"],
        "estimated_completion_time": tutorial["estimated_completion_time"],
    }


def _project(row: Row | None) -> Document:
    status = {"content_status": status_field(row)}
    if row is None:
        return status | {
            "tutorial_id": None,
            "content_ref": None,
            "content_version": "v1",
            "content_summary": None,
        }
    return status | {
        "tutorial_id": row["tutorial_id"],
        "content_ref": row["content_url"],
        "content_version": f"v{row['content_version']}",
        "content_summary": row["summary"],
    }


KIND = ContentKind(
    content_type=ContentType.TUTORIAL,
    names={"en": Names("tutorial", "Tutorials", "T"), "zh": Names("教程", "教程", "教")},
    table="tutorial_metadata",
    content=Tutorial,
    draft=TutorialDraft,
    id_field="tutorial_id",
    to_row=_to_row,
    complete=lambda _draft, version: {"content_version": version},
    sql=table_statements(
        "tutorial_metadata",
        "tutorial_id",
        save=SAVE,
        insert=INSERT_RESTORED,
        versions=VERSIONS,
        condition="content_status = 'completed'",
        newest=NEWEST,
        # `framework_data` holds the first 300 characters of the summary.
        projected="content_url, content_version, left(summary, 300) AS summary",
        fields=(
            "tutorial_id",
            "title",
            "summary",
            "content_version",
            "estimated_completion_time",
            "content_url",
        ),
        version="content_version",
        content_url="(readable -> 'content_url') #>> '{}'",
    ),
    stored_text=StoredText(field="markdown", key_column="content_url"),
    project=_project,
)


MAX_TITLE, MAX_SUMMARY = 500, 300

WORDS_A_MINUTE, CHARACTERS_A_MINUTE = 200, 400
"""Reading speed; of Chinese and Japanese, in characters."""

_HEADING = re.compile(r"^#{1,6}\s+(.+)$")
_IDEOGRAPHS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")


def draft_from_text(body: bytes, concept_name: str) -> Document | None:
    """The fields of a tutorial's draft; `None` if the text is not a tutorial."""
    try:
        markdown = body.decode()
    except UnicodeDecodeError:
        return None
    if not markdown.strip() or unstorable(markdown):
        return None
    blocks = list(_headings_and_prose(markdown))
    title = next((text for is_heading, text in blocks if is_heading), concept_name)
    summary = next((text for is_heading, text in blocks if not is_heading), concept_name)
    ideographs = len(_IDEOGRAPHS.findall(markdown))
    words = len(_IDEOGRAPHS.sub(" ", markdown).split())
    return {
        "title": title[:MAX_TITLE],
        "summary": summary[:MAX_SUMMARY],
        "estimated_completion_time": math.ceil(words / WORDS_A_MINUTE + ideographs / CHARACTERS_A_MINUTE),
        "markdown": markdown,
    }


def heading_in(line: str) -> str | None:
    """The text of a Markdown heading, without its closing hashes; `None` for another line."""
    match = _HEADING.match(line)
    return None if match is None else match[1].rstrip("#").rstrip() or match[1]


# Front matter, comments, and fenced code, also in a quote or an item of a list. A comment or a block of code
# that is not closed goes to the end of the text.
_NOT_TEXT = re.compile(
    r"\A---\n\w+:.*?^---$"
    r"|^<!--.*?(?:-->[ \t]*|\Z)"
    r"|^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?(`{3,}(?=[^`\n]*$)|~{3,}).*?(?:^[ \t>]*\1[`~]*$|\Z)",
    re.DOTALL | re.MULTILINE,
)
# Headings, tables, quotes, images, HTML, what is indented (code, or in a list), items of a list, and lines.
_NOT_PROSE = re.compile(r"[#|>!< \t]|([-*+]|\d{1,9}[.)]) |([-*_=])[ \t]*(\2[ \t]*)*$")
_UNDERLINE = re.compile(r"(=+|-+)$")


def _headings_and_prose(markdown: str) -> Iterator[tuple[bool, str]]:
    """The headings (true) and the paragraphs of prose of a text, each as one line."""
    written = _NOT_TEXT.sub("", "\n".join(line.rstrip() for line in markdown.splitlines()))
    prose: list[str] = []
    for line in [*written.split("\n"), ""]:
        if line and not _NOT_PROSE.match(line):
            prose.append(line.strip())
            continue
        if prose:  # a heading, if the line underlines it
            yield _UNDERLINE.match(line) is not None, " ".join(prose)
            prose = []
        if heading := heading_in(line):
            yield True, heading
