"""Replace saved items with content of a bundle: stage it next to the saved content, then save it by a
retry.
"""

import json
import uuid
from collections.abc import Collection, Iterator, Sequence

from roadmap_command.interface import errors, follow
from roadmap_command.target import Target
from roadmap_content.content.kind import Row
from roadmap_content.content.registry import CONTENT_KINDS
from roadmap_content.contracts.documents import Document
from roadmap_content.contracts.items import ContentType, Item
from roadmap_content.platform.storage.bucket import Bucket
from roadmap_content.platform.storage.keys import product_text_key
from roadmap_content.platform.storage.staging import Staging
from roadmap_content.state.tasks.scope import Scope

_IDS = uuid.UUID("5c0c9b5e-6c1f-4b8e-9a51-0f4b6f3f6e0d")


def stage_replacement(bucket: Bucket, roadmap_id: str, item: Item, content: Document, row: Row) -> bool:
    """Stage content that replaces a saved row; `False` if the row was saved from the same content."""
    kind = CONTENT_KINDS[item.content_type]
    version = row["content_version"] if kind.sql.versions is not None else None
    replaced_id = row["revision"]
    if replaced_id == _id_of(roadmap_id, item, content, version):
        return False
    staged = _decoded(Staging(bucket, roadmap_id).read(item))
    identity_fields = {kind.id_field, "content_version"}
    if staged.get(kind.id_field) == replaced_id and _without(staged, identity_fields) == _without(
        content, identity_fields
    ):
        return False
    identity: Document = {}
    if version is not None:
        version += 1
        while bucket.holds(product_text_key(roadmap_id, item.concept_id, version)):
            version += 1
        identity["content_version"] = version
    identity[kind.id_field] = _id_of(roadmap_id, item, content, version)
    Staging(bucket, roadmap_id, {item: replaced_id}).write(item, content | identity)
    return True


def _decoded(body: bytes | None) -> Document:
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _without(document: Document, fields: Collection[str]) -> Document:
    return {name: value for name, value in document.items() if name not in fields}


def _id_of(roadmap_id: str, item: Item, content: Document, version: int | None) -> str:
    """The id of a replacement. It identifies the same content when the bundle is loaded again."""
    return str(uuid.uuid5(_IDS, json.dumps([roadmap_id, *item, version, content], sort_keys=True)))


def scopes_for(items: Sequence[Item], saved: Collection[Item]) -> Iterator[Scope]:
    """The retries that replace these saved items and no other saved item. No I/O."""
    left = set(items)
    if left == set(saved):
        yield Scope(regenerate=True)
        return
    for content_type in ContentType:
        of_type = {item for item in saved if item.content_type is content_type}
        if of_type and of_type <= left:
            yield Scope(content_type=content_type, regenerate=True)
            left -= of_type
    for concept_id in dict.fromkeys(item.concept_id for item in items if item in left):
        of_concept = {item for item in saved if item.concept_id == concept_id}
        if of_concept <= left:
            yield Scope(concept_id=concept_id, regenerate=True)
            left -= of_concept
    for item in items:
        if item in left:
            yield Scope(item.concept_id, item.content_type, regenerate=True)


def replace(target: Target, task_id: str, scopes: Sequence[Scope]) -> int:
    """Run a retry for each scope; return the number of items that are missing or not replaced afterwards."""
    client, failed = target.client(), 0
    for number, scope in enumerate(scopes, start=1):
        errors.print(f"Replacing saved items: attempt {number} of {len(scopes)}.")
        answer = client.retry(
            task_id, concept_id=scope.concept_id, content_type=scope.content_type, regenerate=True
        )
        follow(target, task_id, answer.execution_arn)
        failed += sum((next(client.attempts(task_id, limit=1)).failed or {}).values())
    return failed
