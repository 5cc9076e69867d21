"""The size of an answer."""

import json
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

MOST_BYTES = 3_000_000
"""Bytes of a list in an answer. A Lambda response is limited to 6 MB."""


def first_that_fit(values: Iterable[T], as_json: Callable[[T], object]) -> Iterator[T]:
    """The first values that fit into an answer, at least one.

    The body is a JSON string inside a JSON document, so a backslash is sent twice.
    """
    size = 0
    for value in values:
        before = size
        size += len(json.dumps(json.dumps(as_json(value))))
        if before and size > MOST_BYTES:
            return
        yield value
