"""Texts that show the language of a course for which none was requested: its title, and a saved content."""

from collections.abc import Iterator
from itertools import islice

from sqlalchemy import Connection, text

from ..contracts.items import ContentType, Item
from .registry import CONTENT_KINDS
from .roadmaps.metadata import read_title
from .rows import saved_content

MOST_LINES, MAX_LINE = 6, 300
"""Enough to show a language."""

# Selects the saved content that shows the language. An item for which this system has never generated, not
# even a refused answer, comes first (`false` before `true`): ours may have a wrong language. Then comes the
# order of the content types: a tutorial has the longest texts. An index has the hashes of roadmaps.
SIBLING = text(
    """
WITH generated AS (
    SELECT content_type, concept_id FROM content_origins
    WHERE hashtextextended(roadmap_id, 0) = hashtextextended(:roadmap_id, 0) AND roadmap_id = :roadmap_id
        AND generator <> 'product'
)
SELECT content_type, concept_id FROM ("""
    + " UNION ALL ".join(
        f"SELECT {position} AS position, '{content_type}' AS content_type, concept_id"
        f" FROM ({kind.sql.saved(':roadmap_id')}) AS of_type"
        for position, (content_type, kind) in enumerate(CONTENT_KINDS.items())
    )
    + """) AS saved
ORDER BY (content_type, concept_id) IN (SELECT content_type, concept_id FROM generated), position, concept_id
LIMIT 1
"""
)


def course_texts(connection: Connection, roadmap_id: str) -> dict[str, str]:
    """The title of a course and, if any content is saved, some lines of one."""
    texts = {"title": read_title(connection, roadmap_id)}
    if sibling := connection.execute(SIBLING, {"roadmap_id": roadmap_id}).first():
        item = Item(sibling.concept_id, ContentType(sibling.content_type))
        texts["lines"] = lines_of(saved_content(connection, roadmap_id, item))
    return texts


def lines_of(content: object) -> str:
    """Some lines of a content."""
    return "\n".join(line[:MAX_LINE] for line in islice(_lines(content), MOST_LINES))


def _lines(value: object) -> Iterator[str]:
    """The texts in a content that are neither ids, addresses nor single words. Chinese has no spaces."""
    match value:
        case str() if " " in value.strip() or not value.isascii():
            yield value
        case dict():
            for inner in value.values():
                yield from _lines(inner)
        case list():
            for inner in value:
                yield from _lines(inner)
