"""Replace names in JSON documents. No I/O."""

from collections.abc import Collection, Mapping
from typing import Any

ERASED = "erased"
"""Replaces the name of a user in rows that are about others."""


def replace_names(document: Any, names: Mapping[str, Collection[str]]) -> Any:  # noqa: ANN401 - any JSON value
    """Copy a JSON document, at any depth, with `ERASED` in place of names.

    Args:
        names: by field, the names to replace where they are its value or in its list. In a field without an
            entry, the same text stays.
    """
    match document:
        case dict():
            return {
                field: _replaced(value, names[field]) if field in names else replace_names(value, names)
                for field, value in document.items()
            }
        case list():
            return [replace_names(entry, names) for entry in document]
        case _:
            return document


def _replaced(value: Any, names: Collection[str]) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(value, list):
        return [_replaced(entry, names) for entry in value]
    return ERASED if isinstance(value, str) and value in names else value
