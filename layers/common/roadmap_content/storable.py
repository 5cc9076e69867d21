"""Which values PostgreSQL can store, and the driver can bind, at all.

A NUL cannot be stored in `text`, a lone surrogate cannot be encoded as UTF-8, and a non-finite number is
not JSON. Each of them fails a whole statement, and an error while binding leaves a pooled pg8000
connection one answer behind: so they are looked for before a row goes near the driver. Nesting has an end,
too: where Python or PostgreSQL runs out of stack depends on versions and settings, and takes the batch along.
"""

import math
import re

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")

MAX_DEPTH = 100
"""Levels of lists and objects in each other: more than content has use for, far fewer than any stack has."""


def unstorable(value: object, path: str = "", depth: int = 0) -> str | None:
    """Say where and why a JSON-like value cannot be stored; `None` when all of it can be."""
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
                if fault := unstorable(key, f"a key of {path or 'value'}", depth + 1):
                    return fault
                if fault := unstorable(inner, f"{path}.{key}" if path else str(key), depth + 1):
                    return fault
        case list():
            for index, inner in enumerate(value):
                if fault := unstorable(inner, f"{path}[{index}]", depth + 1):
                    return fault
    return None
