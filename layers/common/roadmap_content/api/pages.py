"""Pages of a list: their rows, their size, and the cursor of the next one, bound to that list. No I/O."""

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, TypeVar

from pydantic import AfterValidator, AwareDatetime, Field, NaiveDatetime, TypeAdapter

from ..contracts.documents import unstorable
from ..contracts.errors import InvalidCursorError
from ..contracts.times import in_utc

KeyT = TypeVar("KeyT")
RowT = TypeVar("RowT")

MOST_BYTES = 3_000_000
"""Bytes of a list in an answer. A Lambda response is limited to 6 MB."""

MAX_INTEGER = 2**63 - 1
"""The largest value of PostgreSQL's `bigint`."""


def _storable(text: str) -> str:
    if fault := unstorable(text):
        raise ValueError(fault)
    return text


# The parts of a key. A cursor that a client has changed never fails in a statement.
Integer = Annotated[int, Field(strict=True, ge=0, le=MAX_INTEGER)]
Moment = Annotated[AwareDatetime, AfterValidator(in_utc)]
LocalTime = NaiveDatetime
"""A time of the product, as in its column."""
Text = Annotated[str, AfterValidator(_storable)]


def encode_cursor(list_name: str, key: Sequence[object]) -> str:
    """A cursor for the position after `key`. `list_name` identifies the list with its filter."""
    document = json.dumps([list_name, *key], default=datetime.isoformat)
    return base64.urlsafe_b64encode(document.encode()).decode().rstrip("=")


def decode_cursor(list_name: str, cursor: str | None, key_type: type[KeyT]) -> KeyT | None:
    """The key in a cursor, of a type such as `tuple[Moment, Text]`; `None` for the first page.
    Raises InvalidCursorError: the cursor is malformed or belongs to another list.
    """
    if cursor is None:
        return None
    try:
        name, *key = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if name == list_name:
            return TypeAdapter(key_type).validate_python(key)
    except (TypeError, ValueError, RecursionError):
        raise InvalidCursorError("the cursor is malformed") from None
    raise InvalidCursorError("the cursor belongs to a list with other parameters")


def page_of(
    list_name: str, rows: Sequence[RowT], limit: int, key: Callable[[RowT], Sequence[object]]
) -> tuple[Sequence[RowT], str | None]:
    """The rows of a page, and the cursor of the next one, if there is one: `rows` has one row more then."""
    shown = rows[:limit]
    return shown, encode_cursor(list_name, key(shown[-1])) if len(rows) > limit else None


def encoded_size(value: object) -> int:
    """The bytes of a value in an answer. The body is a JSON string inside a JSON document, so a backslash is
    sent twice, and a control character takes seven bytes.
    """
    return len(json.dumps(json.dumps(value)))


def first_that_fit(values: Iterable[RowT], as_json: Callable[[RowT], object]) -> Iterator[RowT]:
    """The first values that fit into an answer, at least one."""
    size = 0
    for value in values:
        before = size
        size += encoded_size(as_json(value))
        if before and size > MOST_BYTES:
            return
        yield value
