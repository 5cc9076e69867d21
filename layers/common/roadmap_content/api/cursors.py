"""Cursors: the position after which a list continues, bound to that list. No I/O."""

import base64
import json
from collections.abc import Sequence

from .errors import InvalidCursorError


def encode_cursor(list_name: str, key: Sequence[object]) -> str:
    """A cursor for the position after `key`. `list_name` identifies the list with its filter."""
    document = json.dumps([list_name, *key], default=str)
    return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")


def decode_cursor(list_name: str, cursor: str | None, length: int) -> list[str | int] | None:
    """The key in a cursor, with `length` values; `None` for the first page.

    Raises:
        InvalidCursorError: the cursor is malformed or belongs to another list.
    """
    if cursor is None:
        return None
    try:
        document = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError):
        raise InvalidCursorError("the cursor is malformed") from None
    match document:
        case [str(name), *key] if (
            name == list_name and len(key) == length and all(type(value) in (str, int) for value in key)
        ):
            return key
        case [str(), *_]:
            raise InvalidCursorError("the cursor belongs to a list with other parameters")
        case _:
            raise InvalidCursorError("the cursor is malformed")
