"""Check that PostgreSQL can store a JSON value and that the driver can bind it.

A NUL cannot be stored in `text`, a lone surrogate cannot be encoded as UTF-8, and a non-finite number is
not JSON. Each of them fails the whole statement. An error during binding also leaves a pooled pg8000
connection one response behind. Therefore values are checked before they reach the driver. Nesting is limited,
too: the depth at which Python or PostgreSQL runs out of stack varies, and the error fails the whole batch.
"""

import json
import math
import re
from datetime import datetime
from typing import Any

Document = dict[str, Any]
"""A JSON object, kept beside its validated model, so that the staged content is stored unchanged."""

MAX_STAGED = 512 * 1024
"""Maximum bytes of a staged item. Save holds 64 items, as read and as rows, in 512 MB."""

MAX_REQUEST = 6 * 1024 * 1024
"""Maximum bytes of a request to a Lambda function, and of its answer."""

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

MAX_DEPTH = 100
"""Maximum nesting of lists and objects. Content needs much less, and every stack allows much more."""

_CONTAINERS = frozenset({dict, list})


# In encoded JSON: escape sequences that stay, as group 1, and those of a NUL or a lone surrogate. A pair of
# surrogates is one character, and an escaped backslash begins no other escape sequence.
_ESCAPED = re.compile(r"(\\\\|\\ud[89ab]..\\ud[c-f]..)|\\u0000|\\ud[89a-f]..", re.IGNORECASE)
_MAY_BE_UNSTORABLE = ("\\u0000", "\\ud", "\\uD")


def storable_text(value: str) -> str:
    """The text with U+FFFD in place of each character that PostgreSQL cannot store. The driver stores every
    text so.
    """
    if value.isascii() and "\x00" not in value:  # much faster than the search
        return value
    return _UNSTORABLE.sub("\ufffd", value)


def storable_json(value: object) -> str:
    """Encode rows or events of ours, whose texts come from outside: each text as `storable_text` returns it.
    Content is checked instead, because it must not be changed: see `unstorable`.
    """
    return _with_storable_texts(json.dumps(value, default=datetime.isoformat))


def _with_storable_texts(encoded: str) -> str:
    """Encoded JSON with U+FFFD in place of each character that cannot be stored."""
    if not any(escape in encoded for escape in _MAY_BE_UNSTORABLE):  # much faster than the search
        return encoded
    return _ESCAPED.sub(lambda escaped: escaped[1] or r"\ufffd", encoded)


class UndecodableError(ValueError):
    """JSON that Python cannot decode, although PostgreSQL stores it."""


def decode(text: str) -> Any:  # noqa: ANN401 - any JSON value
    """Decode JSON that another program wrote into a column of type `json`. A whole number with more digits
    than Python can read becomes an infinite float.
    Raises UndecodableError: it is nested too deeply, or no JSON.
    """
    try:
        try:
            return json.loads(text)
        except ValueError:  # perhaps a whole number of more digits than `int` accepts (4,300)
            return json.loads(
                text, parse_int=lambda digits: int(digits) if len(digits) < 4_000 else float(digits)
            )
    except (RecursionError, ValueError) as error:
        raise UndecodableError("nested too deep, or not JSON") from error


def read_json(value: str) -> Any:  # noqa: ANN401 - any JSON value
    """Decode a column with texts as `storable_text` returns them: an answer of the API cannot encode others.
    Returns `None` if Python cannot decode it: the driver calls it, and an error would break the connection.
    """
    try:
        return decode(_with_storable_texts(value))
    except UndecodableError:
        return None


def unstorable(value: object, path: str = "") -> str | None:
    """Describe the first part of a JSON value that cannot be stored; `None` if all of it can be stored."""
    return None if _is_storable(value) else _fault(value, path, 0)


_SUSPECT = (b"\\u0000", b"\\ud", b"\\uD", b"\xed", b"\x00")
"""Bytes of encoded JSON that may stand for a NUL or for a surrogate (U+D800 to U+DFFF begin with 0xED in
UTF-8), or that belong to UTF-16."""


def is_plain_json(body: bytes) -> bool:
    """Whether the bytes of valid JSON show that its texts can be stored and that it is not nested too deep.
    `False` means that the decoded value has to be checked. Numbers are not considered.
    """
    brackets = body.count(b"[") + body.count(b"{")
    return brackets <= MAX_DEPTH and not any(mark in body for mark in _SUSPECT)


def is_deep(value: object) -> bool:
    """Whether a value is nested deeper than `MAX_DEPTH`. Iterates by level, because recursion is limited."""
    level: list[Any] = [value] if type(value) in _CONTAINERS else []
    for _ in range(MAX_DEPTH):
        if not level:
            return False
        next_level: list[Any] = []
        for outer in level:
            values = outer.values() if type(outer) is dict else outer
            # `type` is faster than `isinstance`.
            next_level += [inner for inner in values if type(inner) in _CONTAINERS]
        level = next_level
    return bool(level)


def _is_storable(value: object) -> bool:
    """Fast check on the encoded value. `False` means that `_fault` must decide."""
    if isinstance(value, str):
        return _UNSTORABLE.search(value) is None
    if is_deep(value):
        return False
    try:
        encoded = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except ValueError:  # a non-finite number or a lone surrogate
        return False
    # This also matches an escaped backslash before "u0000"; `_fault` then finds nothing.
    return b"\\u0000" not in encoded


def _fault(value: object, path: str, depth: int) -> str | None:
    """As `unstorable`, of the part of a value at a path, which is within `depth` lists and objects."""
    match value:
        case dict() | list() if depth == MAX_DEPTH:
            return f"{path[:100]} is nested deeper than {MAX_DEPTH} levels"
        case str():
            if found := _UNSTORABLE.search(value):
                name = "a NUL character" if found[0] == "\x00" else "a lone surrogate"
                return f"{path or 'value'} holds {name} at character {found.start()}"
        case float():
            if not math.isfinite(value):
                return f"{path or 'value'} is not a finite number"
        case dict():
            for key, inner in value.items():
                if fault := _fault(key, f"a key of {path or 'value'}", depth + 1):
                    return fault
                if fault := _fault(inner, f"{path}.{key}" if path else str(key), depth + 1):
                    return fault
        case list():
            for index, inner in enumerate(value):
                if fault := _fault(inner, f"{path}[{index}]", depth + 1):
                    return fault
    return None
