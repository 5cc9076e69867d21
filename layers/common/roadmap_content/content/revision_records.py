"""Read and restore the revisions of an item, with their texts and their origins."""

import hashlib
import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from ..contracts.documents import storable_json
from ..contracts.errors import OtherBucketError, TextUnavailableError
from ..contracts.items import Failure, Item
from ..contracts.payloads import Origin
from ..platform.storage.bucket import Bucket, in_parallel
from ..platform.storage.keys import hash_in, is_text_of
from .registry import CONTENT_KINDS
from .rows import current_row, first_row
from .statements import ORIGIN_OF_CONTENT, RECORD_REFUSED, RECORD_RESTORED, remove_former_sql

# The triggers write it into the archive, with the content that the restore replaces.
_REASON = text("SELECT set_config('roadmap_content.reason', 'an earlier revision was restored', true)")

REMOVE_FORMER = remove_former_sql({kind.table: name for name, kind in CONTENT_KINDS.items()})

# Deferred constraints of the product would otherwise refuse the COMMIT, outside the savepoint of the restore.
_IMMEDIATE = text("SET CONSTRAINTS ALL IMMEDIATE")


class RevisionSource(NamedTuple):
    """A revision that can be restored."""

    row: str
    """The row as JSON."""

    content_id: str
    generated_at: datetime | None
    content_url: str | None
    """The place of its text, for a content type with its text in an object."""


def revisions_of(connection: Connection, roadmap_id: str, item: Item) -> Sequence[Any]:
    """The newest revisions of an item, those in the content table first."""
    listing = text(CONTENT_KINDS[item.content_type].sql.listing)
    return connection.execute(listing, _of_item(roadmap_id, item)).all()


def revision_source(
    connection: Connection, roadmap_id: str, item: Item, revision_id: str
) -> RevisionSource | None:
    """The row of a revision; `None` if there is no such revision.
    Raises TextUnavailableError: the product has stored the text of a later row under the same key.
    """
    statement = CONTENT_KINDS[item.content_type].sql.source
    row = connection.execute(text(statement), _of_item(roadmap_id, item, revision_id)).first()
    if row is None:
        return None
    if row.is_overwritten and hash_in(row.content_url) is None:
        raise TextUnavailableError("the item is saved, but its text was overwritten by that of a later row")
    return RevisionSource(row.source, row.content_id, row.generated_at, row.content_url)


def revision_content(
    connection: Connection, roadmap_id: str, item: Item, revision_id: str
) -> dict[str, Any] | None:
    """The fields of a revision's content, and when it was generated; `None` if there is no such revision."""
    source = revision_source(connection, roadmap_id, item, revision_id)
    if source is None:
        return None
    row = json.loads(source.row)
    columns = CONTENT_KINDS[item.content_type].sql.fields
    return {name: row[name] for name in columns} | {"generated_at": source.generated_at}


def restore_content(
    connection: Connection, roadmap_id: str, item: Item, source: RevisionSource
) -> str | None:
    """Make the content of a former row the item's current one; return the id of the new content, or `None` if
    the item has this content already. The caller must have locked the roadmap. The trigger of the content
    table archives the content that is replaced. A row that others refer to keeps its id.
    """
    kind = CONTENT_KINDS[item.content_type]
    connection.execute(_IMMEDIATE)
    connection.execute(_REASON)
    current = current_row(connection, roadmap_id, item)
    parameters = {
        "roadmap_id": roadmap_id,
        "concept_id": item.concept_id,
        "source": source.row,
        "content_url": source.content_url,
    }
    if current is not None and kind.sql.replace is not None:
        parameters["row_id"] = current[kind.id_field]
        if connection.execute(text(kind.sql.replace), parameters).first() is None:
            return None
        changed = current_row(connection, roadmap_id, item)
        return None if changed is None else str(changed["revision"])
    inserted: str | None = connection.scalar(
        text(kind.sql.insert), parameters | {"row_id": str(uuid.uuid4())}
    )
    return inserted


def _of_item(roadmap_id: str, item: Item, revision_id: str | None = None) -> dict[str, str | None]:
    return {"roadmap_id": roadmap_id, "concept_id": item.concept_id, "revision_id": revision_id}


def read_text(bucket: Bucket, roadmap_id: str, content_url: str, limit: int) -> str:
    """The text of a row, as it was saved.

    Raises:
        TextUnavailableError: it does not exist, is another text, or is none of the roadmap.
        ObjectTooLargeError: it has more than `limit` bytes, and was not read.
        StorageUnavailableError: a retry may succeed.
    """
    key = bucket.key_in(content_url)
    stored = bucket.get(key, limit=limit) if is_text_of(roadmap_id, key) else None
    if stored is None:
        raise TextUnavailableError("the item is saved, but its text does not exist")
    # A key of the product has no hash.
    if hash_in(key) not in (None, hashlib.sha256(stored.body).hexdigest()):
        raise TextUnavailableError("the item is saved, but its text was overwritten")
    return stored.body.decode(errors="replace")


def text_sizes(bucket: Bucket, content_urls: Collection[str]) -> dict[str, int]:
    """The bytes of the texts of an item's rows, without those that are not in this bucket, or not among the
    1,000 first of their folder. All of them are usually in one: one request lists it.
    """
    keys: dict[str, str] = {}
    for content_url in content_urls:
        with suppress(OtherBucketError):
            keys[content_url] = bucket.key_in(content_url)
    folders = {f"{key.rpartition('/')[0]}/" for key in keys.values()}
    sizes = {entry.key: entry.size for page in in_parallel(bucket.entries, folders) for entry in page}
    return {content_url: sizes[key] for content_url, key in keys.items() if key in sizes}


def record_refused(
    connection: Connection,
    roadmap_id: str,
    task_id: str,
    attempt: int,
    refused: Collection[tuple[Failure, Origin]],
) -> None:
    """Record the origins of contents that an attempt refused."""
    if not refused:
        return
    rows = [
        origin.model_dump()
        | failure.item._asdict()
        | {"refused_code": failure.error_code, "content_fingerprint": failure.content_fingerprint}
        for failure, origin in refused
    ]
    subject = {"roadmap_id": roadmap_id, "task_id": task_id, "attempt": attempt}
    connection.execute(text(RECORD_REFUSED), subject | {"refused": storable_json(rows)})


def record_restored(
    connection: Connection,
    roadmap_id: str,
    item: Item,
    content_id: str,
    restored_from: str,
    actor: str,
    reason: str | None,
) -> None:
    """Record that an item's content `content_id` was restored from its former content `restored_from`."""
    restored = {"content_id": content_id, "restored_from": restored_from, "actor": actor, "reason": reason}
    connection.execute(text(RECORD_RESTORED), restored | {"roadmap_id": roadmap_id, **item._asdict()})


def origin_of(
    connection: Connection, roadmap_id: str, item: Item, content_id: str
) -> Mapping[str, Any] | None:
    """The origin of an item's content; `None` if none was recorded."""
    parameters = {"roadmap_id": roadmap_id, "content_id": content_id, **item._asdict()}
    return first_row(connection, ORIGIN_OF_CONTENT, parameters)
