"""The present content of an item that is to be changed."""

from sqlalchemy import Engine

from ...content.registry import CONTENT_KINDS
from ...content.revision_records import read_text
from ...content.rows import saved_content
from ...contracts.documents import MAX_STAGED, Document
from ...contracts.errors import InvalidContentError
from ...contracts.items import Item
from ...platform.postgres.transactions import transact
from ...platform.runtime.deadline import Deadline
from ...platform.storage.bucket import Bucket, ObjectTooLargeError


def present_content(
    engine: Engine, bucket: Bucket, roadmap_id: str, item: Item, deadline: Deadline
) -> Document | None:
    """The fields of the saved content, with its text; `None` if nothing is saved.

    Raises:
        TextUnavailableError: the text does not exist, or is another one.
        InvalidContentError: the text is larger than a staged content may be.
        DatabaseUnavailableError, StorageUnavailableError: a retry may succeed.
    """
    row = transact(engine, saved_content, deadline, roadmap_id, item)
    if row is None:
        return None
    text_in = CONTENT_KINDS[item.content_type].stored_text
    if text_in is not None:
        try:
            row[text_in.field] = read_text(bucket, roadmap_id, str(row.pop(text_in.key_column)), MAX_STAGED)
        except ObjectTooLargeError:
            raise InvalidContentError("the present content is too large to be changed") from None
    del row["generated_at"]
    return row
