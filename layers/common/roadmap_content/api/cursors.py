"""Cursors: the position after which a list continues, bound to that list. No I/O."""

import base64
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from ..contracts.documents import unstorable
from ..contracts.errors import InvalidCursorError

MAX_INTEGER = 2**63 - 1
"""The largest value of PostgreSQL's `bigint`."""


def encode_cursor(list_name: str, key: Sequence[object]) -> str:
    """A cursor for the position after `key`. `list_name` identifies the list with its filter."""
    document = json.dumps([list_name, *key], default=datetime.isoformat)
    return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")


def decode_cursor(
    list_name: str, cursor: str | None, *values: Callable[[object], Any]
) -> tuple[Any, ...] | None:
    """The key in a cursor; `None` for the first page.

    `values` convert each part of the key: `moment`, `text`, `any_text` or `integer`. A cursor that
    a client has changed never fails in a statement.

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
        case [str(name), *key] if name == list_name and len(key) == len(values):
            try:
                return tuple(convert(part) for convert, part in zip(values, key, strict=True))
            except ValueError:
                raise InvalidCursorError("the cursor is malformed") from None
        case [str(), *_]:
            raise InvalidCursorError("the cursor belongs to a list with other parameters")
        case _:
            raise InvalidCursorError("the cursor is malformed")


def moment(value: object) -> datetime:
    """A time without a zone.

    Raises:
        ValueError: it is not one.
    """
    found = datetime.fromisoformat(text(value))
    if found.tzinfo is not None:
        raise ValueError("a time with a zone")
    return found


def text(value: object) -> str:
    """A text that PostgreSQL can store.

    Raises:
        ValueError: it is not one.
    """
    if not isinstance(value, str) or unstorable(value):
        raise ValueError("not a text")
    return value


def any_text(value: object) -> str:
    """A text that is not sent to PostgreSQL.

    Raises:
        ValueError: it is not one.
    """
    if not isinstance(value, str):
        raise ValueError("not a text")  # noqa: TRY004 - the value is from a request
    return value


def integer(value: object) -> int:
    """A number from 0 to `MAX_INTEGER`.

    Raises:
        ValueError: it is not one.
    """
    if type(value) is not int or not 0 <= value <= MAX_INTEGER:
        raise ValueError("not a number")
    return value
