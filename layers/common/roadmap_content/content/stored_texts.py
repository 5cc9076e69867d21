"""Texts of tutorials that are stored without a row: their product has paid for them, and the row was never
saved. They are adopted in place of generated ones.
"""

import json
from collections.abc import Collection, Container
from typing import NamedTuple

from sqlalchemy import Connection, text

from ..contracts.documents import Document
from ..contracts.items import Item
from ..platform.storage.bucket import Bucket
from ..platform.storage.keys import product_text_key
from .registry import CONTENT_KINDS
from .tutorial import draft_from_text


class NewestText(NamedTuple):
    """The newest text of a tutorial that is stored above the versions of all rows."""

    body: bytes | None
    """`None` if there is none."""

    free_version: int
    """The first version without a row or a text."""

    def draft(self, concept_name: str) -> Document | None:
        """A draft of the text; `None` if there is none, or it is not a tutorial."""
        return None if self.body is None else draft_from_text(self.body, concept_name)


def may_adopt(
    item: Item, refused: Container[Item], replaced: Container[Item], instruction: str | None
) -> bool:
    """Whether a stored text may be used: not if a content of the item was refused before, or if a saved one
    is to be changed by an instruction. No I/O.
    """
    return item not in refused and (instruction is None or item not in replaced)


def newest_text(bucket: Bucket, roadmap_id: str, item: Item, highest_version: int) -> NewestText:
    """The newest stored text of an item; of a content type without versions, none."""
    newest, free = None, highest_version + 1
    if CONTENT_KINDS[item.content_type].sql.versions is not None:
        while stored := bucket.get(product_text_key(roadmap_id, item.concept_id, free)):
            newest = stored.body
            free += 1
    return NewestText(newest, free)


def highest_versions(connection: Connection, roadmap_id: str, items: Collection[Item]) -> dict[Item, int]:
    """The highest version of each item that has one."""
    versions = {}
    for kind in CONTENT_KINDS.values():
        concept_ids = [item.concept_id for item in items if item.content_type is kind.content_type]
        if kind.sql.versions is not None and concept_ids:
            parameters = {"roadmap_id": roadmap_id, "concept_ids": json.dumps(concept_ids)}
            for row in connection.execute(text(kind.sql.versions), parameters):
                versions[Item(row.concept_id, kind.content_type)] = row.version
    return versions
