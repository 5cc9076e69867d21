"""Read the texts of saved tutorials."""

from ..contracts.errors import OtherBucketError, TextUnavailableError
from ..platform.storage.bucket import Bucket
from ..platform.storage.keys import is_text_of, may_be_stored_at

MOST_TEXT_BYTES = 1_000_000
"""Bytes of a text that an answer contains. A Lambda response is limited to 6 MB, with escaping."""


def read_text(bucket: Bucket, roadmap_id: str, content_url: str, limit: int) -> str:
    """The text of a row, as it was saved.

    Raises:
        TextUnavailableError: it does not exist, is another text, or is none of the roadmap.
        ObjectTooLargeError: it has more than `limit` bytes, and was not read.
        StorageUnavailableError: a retry may succeed.
    """
    key = bucket.key_in(content_url)
    if not is_text_of(roadmap_id, key):
        raise TextUnavailableError("its text is not one of the roadmap's")
    stored = bucket.get(key, limit=limit)
    if stored is None:
        raise TextUnavailableError("its text does not exist")
    if not may_be_stored_at(key, stored.body):
        raise TextUnavailableError("its text was overwritten: it is not the one that was saved")
    return stored.body.decode(errors="replace")


def text_size(bucket: Bucket, content_url: str) -> int | None:
    """The bytes of the text of a row; `None` if there is none in this bucket."""
    try:
        text = bucket.describe(bucket.key_in(content_url))
    except OtherBucketError:
        return None
    return None if text is None else text.size
