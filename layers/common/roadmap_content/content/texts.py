"""Read the texts of saved tutorials."""

import hashlib

from ..contracts.errors import OtherBucketError, TextUnavailableError
from ..platform.storage.bucket import Bucket
from ..platform.storage.keys import hash_in, is_text_of


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
    if hash_in(key) not in (None, hashlib.sha256(stored.body).hexdigest()):
        raise TextUnavailableError("the item is saved, but its text was overwritten")
    return stored.body.decode(errors="replace")


def text_size(bucket: Bucket, content_url: str) -> int | None:
    """The bytes of the text of a row; `None` if there is none in this bucket."""
    try:
        text = bucket.describe(bucket.key_in(content_url))
    except OtherBucketError:
        return None
    return None if text is None else text.size
