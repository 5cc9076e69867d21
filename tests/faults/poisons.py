"""Invalid values for every column that staged content fills, and for staged content as a whole.

Each poison defines the staged body, the expected error code and the expected repair by the next attempt.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from tests.support.factories import quiz, resources, tutorial

Content = dict[str, Any]

VALID: Mapping[str, Callable[..., Content]] = {"tutorial": tutorial, "resources": resources, "quiz": quiz}

ID_FIELDS = {"tutorial": "tutorial_id", "resources": "id", "quiz": "quiz_id"}


class Heals(StrEnum):
    """The expected repair by the next attempt."""

    GENERATED = "quarantined, and generated anew"
    NEW_ID = "the content is kept, and gets a new id"


class Poison(NamedTuple):
    """One invalid item: `body` returns the staged bytes for a concept."""

    name: str
    kind: str
    body: Callable[[str], bytes]
    code: str = "InvalidContent"
    heals: Heals = Heals.GENERATED


# Unknown fields are kept, so they can be invalid, too.
_UNKNOWN: Mapping[str, Content] = {
    "NUL": {"note": {"deep": ["\x00"]}},
    "lone surrogate": {"note": ["\udbff"]},
    "NUL in a key": {"a\x00b": 1},
    "lone surrogate in a deep key": {"note": [{"\udc00": 1}]},
    "infinite": {"note": [float("-inf")]},
}

_DEPTHS = (101, 500, 985, 1_000, 5_000, 100_000)
"""Levels of a nested list. Python's own limit depends on its version and the current stack depth."""

_BODIES: Mapping[str, bytes] = {
    "empty": b"",
    "cut off": b'{"title": "so',
    "not UTF-8": b'{"title": "\xff\xfe"}',
    "null": b"null",
    "a list": b"[]",
    "a text": b'"text"',
    "a number of 5,000 digits": b'{"note": ' + b"9" * 5_000 + b"}",
    "a number beyond floats": b'{"note": 1e999}',
    "compressed": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
    "an escaped NUL": b'{"note": "\\u0000"}',
}


def poisons_of(kind: str) -> list[Poison]:
    """Every poison of a content type that needs no other rows."""
    return [*_in_the_unknown(kind), *_in_depth(kind), *_whole(kind)]


def with_id(kind: str, name: str, content_id: str) -> Poison:
    """Valid content with an id that belongs to another item."""
    field = ID_FIELDS[kind]
    return Poison(
        name,
        kind,
        lambda concept_id: json.dumps(VALID[kind](concept_id, **{field: content_id})).encode(),
        code="IdTaken",
        heals=Heals.NEW_ID,
    )


def marked(kind: str, name: str, mark: str, code: str) -> Poison:
    """Valid content with a mark that a trigger refuses with a given SQLSTATE."""

    def body(concept_id: str) -> bytes:
        content = VALID[kind](concept_id)
        match kind:
            case "tutorial":
                content["title"] = mark
            case "resources":
                content["search_queries_used"] = [mark]
            case _:
                content["questions"][0]["explanation"] = mark
        return json.dumps(content).encode()

    return Poison(name, kind, body, code)


def _in_the_unknown(kind: str) -> Iterator[Poison]:
    for name, extra in _UNKNOWN.items():
        yield Poison(f"an unknown key: {name}", kind, partial(_extended, kind, extra))


def _in_depth(kind: str) -> Iterator[Poison]:
    for depth in _DEPTHS:
        yield Poison(f"an unknown key: {depth} levels deep", kind, partial(_deepened, kind, depth))


def _whole(kind: str) -> Iterator[Poison]:
    for name, body in _BODIES.items():
        yield Poison(f"the whole: {name}", kind, partial(_replaced, body))


def _extended(kind: str, extra: Content, concept_id: str) -> bytes:
    return json.dumps(VALID[kind](concept_id) | extra).encode()


def _deepened(kind: str, depth: int, concept_id: str) -> bytes:
    """Encoded by hand, because `json` cannot encode it; inside a JSON column if the type has one."""
    content: Any = VALID[kind](concept_id)
    place = content[kind if kind == "resources" else "questions"][0] if kind != "tutorial" else content
    place["note"] = "deep"
    return json.dumps(content).encode().replace(b'"deep"', b"[" * depth + b"]" * depth)


def _replaced(body: bytes, _concept_id: str) -> bytes:
    return body
