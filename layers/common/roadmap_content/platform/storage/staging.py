"""Staged content: generated items in S3 that may not be saved yet. Staging prevents paying for them twice."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, compress

from ...contracts.documents import MAX_STAGED, Document
from ...contracts.errors import InvalidContentError
from ...contracts.items import ContentType, Failure, Item
from ...contracts.payloads import Origin
from .bucket import Bucket, ObjectTooLargeError, StoredObject, in_parallel
from .keys import (
    encode,
    fingerprint,
    rejected_key,
    replacement_key,
    replacement_prefix,
    staged_key,
    staged_prefix,
)

FEW = 48
"""Up to this number, items are looked up one by one, in three rounds of parallel requests."""


class Staging:
    """The staged content of one roadmap. `replaces` contains the ids of the saved rows to replace. The
    content for such an item is staged under a separate key, next to the content from which the row was saved,
    and is for one `instruction`: a draft for another one does not count as staged, and is overwritten.
    """

    def __init__(
        self,
        bucket: Bucket,
        roadmap_id: str,
        replaces: Mapping[Item, str] | None = None,
        instruction: str | None = None,
    ) -> None:
        self._bucket = bucket
        self._roadmap_id = roadmap_id
        self._replaces = replaces or {}
        self.instruction = None if instruction is None else fingerprint(instruction.encode())
        """The fingerprint of the instruction, as the origins of its drafts have it."""

    def _key(self, item: Item) -> str:
        replaced_id = self._replaces.get(item)
        if replaced_id is None:
            return staged_key(self._roadmap_id, item)
        return replacement_key(self._roadmap_id, item, replaced_id)

    def holds(self, item: Item) -> bool:
        metadata = self._bucket.metadata(self._key(item))
        return metadata is not None and self._counts(item, metadata)

    def _counts(self, item: Item, metadata: Mapping[str, str]) -> bool:
        """Whether an object with this metadata counts as the item's staged content."""
        return item not in self._replaces or Origin.of_metadata(metadata).instruction == self.instruction

    def listed(self, items: Iterable[Item]) -> frozenset[Item]:
        """The items that are staged according to one page of the S3 listing of each content type.

        One request lists up to 1,000 keys, starting at the first item. An item that is not in the result may
        still be staged: use `holds`. Items to replace are not listed.
        """
        by_key = {self._key(item): item for item in items if item not in self._replaces}
        first_keys: dict[ContentType, str] = {}
        for key in sorted(by_key):
            first_keys.setdefault(by_key[key].content_type, key)

        def page(content_type: ContentType) -> list[str]:
            # The listing starts after a key: after the first one without its last character.
            return self._bucket.keys(
                staged_prefix(self._roadmap_id, content_type), first_keys[content_type][:-1]
            )

        keys = chain.from_iterable(in_parallel(page, first_keys))
        return frozenset(by_key[key] for key in keys if key in by_key)

    def staged_among(self, items: Sequence[Item]) -> frozenset[Item]:
        """The staged items among some items. A few are looked up one by one; more are listed, and then only
        the listed drafts that replace a content are looked up.
        """
        if len(items) <= FEW:
            return frozenset(compress(items, in_parallel(self.holds, items)))
        types = {item.content_type for item in items}
        prefixes = [staged_prefix(self._roadmap_id, content_type) for content_type in types]
        if self._replaces:
            prefixes += [replacement_prefix(self._roadmap_id, content_type) for content_type in types]
        listed = set(chain.from_iterable(in_parallel(self._bucket.all_keys, prefixes)))
        staged = [item for item in items if self._key(item) in listed]
        drafts = [item for item in staged if item in self._replaces]
        return frozenset(staged).difference(drafts).union(compress(drafts, in_parallel(self.holds, drafts)))

    def get(self, item: Item) -> StoredObject | None:
        """The staged content of an item, not validated, and its metadata; `None` if the item is not staged.
        Raises ObjectTooLargeError: it has more than `MAX_STAGED` bytes, too many for the functions' memory.
        """
        stored = self._bucket.get(self._key(item), limit=MAX_STAGED)
        return None if stored is None or not self._counts(item, stored.metadata) else stored

    def read(self, item: Item) -> bytes | None:
        """Like `get`, without the metadata."""
        stored = self.get(item)
        return None if stored is None else stored.body

    def fingerprint(self, item: Item) -> str | None:
        """The fingerprint of an item's staged content of any size; `None` if the item is not staged."""
        try:
            body = self.read(item)
        except ObjectTooLargeError as error:
            return error.fingerprint
        return None if body is None else fingerprint(body)

    def write(self, item: Item, content: Document, origin: Origin | None = None) -> None:
        """Stage an item. Overwrites staged content. Without an origin, the content is the product's.
        Raises InvalidContentError: it has more than `MAX_STAGED` bytes, which no step would read.
        """
        body = json.dumps(content).encode()
        if len(body) > MAX_STAGED:
            raise InvalidContentError(f"the content has {len(body)} bytes; {MAX_STAGED} are accepted")
        self._bucket.put(self._key(item), body, None if origin is None else origin.metadata())

    def reject(self, item: Item, refusal: Failure, attempt: int) -> None:
        """Move staged content that an attempt refused to `rejected/`, with the reason as metadata."""
        staged = self.fingerprint(item)
        if staged is None or staged != refusal.content_fingerprint:
            return  # it was moved or replaced already
        key = self._key(item)
        reasons = {"error-code": encode(refusal.error_code), "reason": encode(refusal.reason)}
        self._bucket.copy(key, rejected_key(self._roadmap_id, item, attempt, staged), reasons)
        self._bucket.delete(key)
